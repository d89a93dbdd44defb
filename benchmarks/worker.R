# Fits one model with lme4, as a user would (default settings), and prints what it took, as JSON.
# Rscript worker.R FORMULA REML DATA.csv FACTOR,FACTOR BUDGET
# The same protocol as worker.py.
suppressMessages(library(lme4))
arguments <- commandArgs(trailingOnly = TRUE)
formula <- as.formula(arguments[1])
reml <- arguments[2] == "True"
data <- read.csv(arguments[3])
for (name in strsplit(arguments[4], ",")[[1]]) data[[name]] <- factor(data[[name]])
budget <- as.numeric(arguments[5])

memory <- function(line) {
  status <- tryCatch(readLines("/proc/self/status"), error = function(e) character(0))
  row <- grep(line, status, value = TRUE)
  if (length(row)) as.numeric(strsplit(row, "[[:space:]]+")[[1]][2]) * 1024 / 1e6 else NA
}
fit <- function() suppressMessages(suppressWarnings(lmer(formula, data, REML = reml)))
invisible(gc())
cat("ready\n")
flush(stdout())
try(cat("5", file = "/proc/self/clear_refs"), silent = TRUE)
before <- memory("VmRSS")
processor <- function() sum(proc.time()[c("user.self", "sys.self")])
timed <- function() {  # system.time() counts in milliseconds, which is too coarse
  start <- Sys.time()
  model <<- fit()
  as.numeric(Sys.time() - start, units = "secs")
}
work <- processor()
first <- timed()
cpu <- processor() - work
peak <- memory("VmHWM")
seconds <- c()
until <- Sys.time() + budget
work <- processor()
while (budget > 0 && first < 5 && length(seconds) < 200 && (!length(seconds) || Sys.time() < until))
  seconds <- c(seconds, timed())
repeats <- length(seconds)
if (repeats) cpu <- (processor() - work) / repeats else seconds <- first

cells <- VarCorr(model)
groups <- names(model@cnms)
number <- function(x) ifelse(is.na(x), "null", sprintf("%.17g", x))
list_of <- function(x) paste0("[", paste(x, collapse = ", "), "]")
matrices <- sapply(seq_along(groups), function(i) list_of(apply(unclass(cells[[i]]), 1, function(r)
  list_of(number(r)))))
terms <- list_of(sprintf('["%s", %s]', groups, matrices))
# warnings of its checks of the optimum are its statement that it has not converged
complaints <- grep("singular", model@optinfo$conv$lme4$messages, invert = TRUE)
cat(sprintf(paste0('{"outcome": "fitted", "first_seconds": %s, "seconds": %s, "cpu_seconds": %s, ',
                   '"repeats": %d, "memory_before": %s, "memory_peak": %s, "sigma2": %s, ',
                   '"terms": %s, "evaluations": %d, "converged": %s, "version": "%s"}\n'),
            number(first), number(median(seconds)), number(cpu), repeats, number(before),
            number(peak), number(sigma(model)^2), terms, model@optinfo$feval,
            tolower(length(complaints) == 0),
            packageVersion("lme4")))
