# Times lme4's refit, per response: Rscript fit_many.R DATA.csv RESPONSES.bin FORMULA COUNT
# By maximum likelihood, because refits of REML fits optimise another criterion in lme4 1.1-31.
# Criteria of the responses go to standard output, so that both sides can be seen to do the same.
suppressMessages(library(lme4))
arguments <- commandArgs(trailingOnly = TRUE)
data <- read.csv(arguments[1])
data$g <- factor(data$g)
count <- as.integer(arguments[4])
Y <- matrix(readBin(arguments[2], "double", nrow(data) * count), nrow(data))
data$y <- Y[, 1]
quiet <- function(x) suppressMessages(suppressWarnings(x))
model <- quiet(lmer(as.formula(arguments[3]), data, REML = FALSE))
deviances <- numeric(count)
seconds <- system.time(for (j in seq_len(count)) {
  deviances[j] <- -2 * as.numeric(logLik(quiet(refit(model, Y[, j]))))
})[["elapsed"]]
cat(sprintf('{"seconds": %.9f, "version": "%s", "deviances": [%s]}\n', seconds / count,
            packageVersion("lme4"), paste(sprintf("%.9f", deviances), collapse = ",")))
