# Fits one model with lme4, as a user would (default settings), and prints what it took.
# Rscript worker.R DATA.csv FORMULA FACTOR,FACTOR REPEATS
suppressMessages(library(lme4))
arguments <- commandArgs(trailingOnly = TRUE)
data <- read.csv(arguments[1])
for (name in strsplit(arguments[3], ",")[[1]]) data[[name]] <- factor(data[[name]])
formula <- as.formula(arguments[2])
repeats <- as.integer(arguments[4])
if (repeats > 1) suppressMessages(lmer(formula, data))
seconds <- replicate(repeats, system.time(
  model <<- suppressMessages(suppressWarnings(lmer(formula, data))))[["elapsed"]])
cat(sprintf('{"seconds": %.6f, "criterion": %.10f, "evaluations": %d, "version": "%s"}\n',
            median(seconds), REMLcrit(model), model@optinfo$feval, packageVersion("lme4")))
