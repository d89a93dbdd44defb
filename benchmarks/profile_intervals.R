# Profile intervals of one model with lme4, as a user would ask for them, and what it took.
# Rscript profile_intervals.R DATA.csv FORMULA FACTOR,FACTOR REPEATS
suppressMessages(library(lme4))
arguments <- commandArgs(trailingOnly = TRUE)
data <- read.csv(arguments[1])
for (name in strsplit(arguments[3], ",")[[1]]) data[[name]] <- factor(data[[name]])
model <- suppressMessages(lmer(as.formula(arguments[2]), data))
seconds <- replicate(as.integer(arguments[4]), system.time(
  found <<- suppressMessages(suppressWarnings(confint(model, quiet = TRUE))))[["elapsed"]])
cat(sprintf('{"seconds": %.6f, "sigma": [%.10g, %.10g], "version": "%s"}\n',
            median(seconds), found[".sigma", 1], found[".sigma", 2], packageVersion("lme4")))
