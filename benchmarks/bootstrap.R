# Times lme4's bootMer, per replicate, on one model: Rscript bootstrap.R DATA.csv FORMULA FACTORS N
# By maximum likelihood, because refits of REML fits optimise another criterion in lme4 1.1-31.
suppressMessages(library(lme4))
arguments <- commandArgs(trailingOnly = TRUE)
data <- read.csv(arguments[1])
for (name in strsplit(arguments[3], ",")[[1]]) data[[name]] <- factor(data[[name]])
n <- as.integer(arguments[4])
model <- suppressMessages(suppressWarnings(lmer(as.formula(arguments[2]), data, REML = FALSE)))
parameters <- function(m) c(getME(m, "theta"), sigma(m), fixef(m))
set.seed(1)
seconds <- system.time(
  b <- suppressMessages(suppressWarnings(bootMer(model, parameters, nsim = n))))[["elapsed"]]
cat(sprintf('{"seconds": %.9f, "sigma": %.6f, "version": "%s"}\n',
            seconds / n, mean(b$t[, length(getME(model, "theta")) + 1]), packageVersion("lme4")))
