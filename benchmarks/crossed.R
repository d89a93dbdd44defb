# Fits one model with lme4, as a user would (default settings), and prints what it took.
# Rscript crossed.R DATA.csv FORMULA FACTOR,FACTOR
suppressMessages(library(lme4))
arguments <- commandArgs(trailingOnly = TRUE)
data <- read.csv(arguments[1])
for (name in strsplit(arguments[3], ",")[[1]]) data[[name]] <- factor(data[[name]])
formula <- as.formula(arguments[2])
seconds <- system.time(
  model <- suppressMessages(suppressWarnings(lmer(formula, data))))[["elapsed"]]
peak <- as.numeric(strsplit(grep("VmHWM", readLines("/proc/self/status"), value = TRUE), "[[:space:]]+")[[1]][2])
cat(sprintf('{"seconds": %.3f, "peak_gb": %.2f, "evaluations": %d, "criterion": %.10f, "version": "%s"}\n',
            seconds, peak * 1024 / 1e9, model@optinfo$feval, REMLcrit(model), packageVersion("lme4")))
