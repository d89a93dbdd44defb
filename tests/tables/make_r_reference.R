# Makes r_reference.json: what R prints, and the unrounded numbers behind it.
#
#     Rscript make_r_reference.R > r_reference.json
#
# Needs lme4, lmerTest, pbkrtest and nlme. Only public example data of these packages are used, so
# every line of the file can be traced to R.

suppressMessages(library(lmerTest))
options(width = 80)
data(Machines, package = "nlme")
machines <- as.data.frame(Machines)
machines$Worker <- factor(machines$Worker, ordered = FALSE)
sleep <- lme4::sleepstudy
sleep$Twice <- 2 * sleep$Days

# Tighter than lme4's default, so that what R prints does not depend on where it stopped.
tight <- lmerControl("bobyqa", optCtrl = list(rhoend = 1e-10, maxfun = 1e5))

models <- list(
  sleepstudy = lmer(Reaction ~ Days + (Days | Subject), sleep, control = tight),
  sleepstudy_ml = lmer(Reaction ~ Days + (Days | Subject), sleep, REML = FALSE, control = tight),
  uncorrelated = lmer(Reaction ~ Days + (Days || Subject), sleep, control = tight),
  cake = lmer(angle ~ recipe * temperature + (1 | recipe:replicate), lme4::cake, control = tight),
  penicillin = lmer(diameter ~ 1 + (1 | plate) + (1 | sample), lme4::Penicillin, control = tight),
  pastes = lmer(strength ~ 1 + (1 | batch/cask), lme4::Pastes, control = tight),
  machines = lmer(score ~ Machine + (0 + Machine | Worker), machines, control = tight),
  two_terms = lmer(score ~ Machine + (1 | Worker) + (0 + Machine | Worker), machines,
                   control = tight),
  singular = lmer(Yield ~ 1 + (1 | Batch), lme4::Dyestuff2, control = tight),
  scales = lmer(Reaction ~ I(Days / 1000) + (I(Days / 1000) | Subject), sleep, control = tight),
  aliased = lmer(Reaction ~ Days + Twice + (1 | Subject), sleep, control = tight)
)

json <- function(x) {
  if (is.list(x)) {
    items <- vapply(x, json, "")
    if (is.null(names(x))) return(paste0("[", paste(items, collapse = ","), "]"))
    return(paste0("{", paste0(string(names(x)), ":", items, collapse = ","), "}"))
  }
  if (is.matrix(x)) return(json(lapply(seq_len(nrow(x)), function(i) as.list(unname(x[i, ])))))
  if (is.logical(x)) items <- ifelse(is.na(x), "null", tolower(x))
  else if (is.numeric(x)) items <- vapply(x, function(v) if (is.finite(v)) shortest(v) else "null", "")
  else items <- ifelse(is.na(x), "null", string(x))
  if (length(x) == 1 && is.null(attr(x, "array"))) return(unname(items))
  paste0("[", paste(items, collapse = ","), "]")
}
shortest <- function(x) {
  for (digits in 7:17) if (as.numeric(text <- sprintf("%.*g", digits, x)) == x) break
  text
}
string <- function(x) paste0('"', gsub('"', '\\"', gsub("\\", "\\\\", x, fixed = TRUE), fixed = TRUE), '"')
array1 <- function(x) { attr(x, "array") <- TRUE; x }
lines_of <- function(...) array1(sub(" +$", "", capture.output(print(...))))

describe <- function(m, ddf = "Satterthwaite") {
  s <- summary(m, ddf = ddf)
  vc <- VarCorr(m)
  z <- cbind(s$coefficients[, 1:2, drop = FALSE], "z value" = s$coefficients[, 4])
  z <- cbind(z, "Pr(>|z|)" = 2 * pnorm(-abs(z[, 3])))
  frame <- as.data.frame(vc)
  list(
    formula = paste(deparse(formula(m), width.cutoff = 500), collapse = ""),
    reml = isREML(m), nobs = nobs(m), ngroups = as.list(ngrps(m)), sigma = sigma(m),
    objective = if (isREML(m)) lme4::REMLcrit(m) else deviance(m),
    loglik = as.numeric(logLik(m)), aic = AIC(m), bic = BIC(m),
    df = attr(logLik(m), "df"), df_resid = df.residual(m), singular = isSingular(m),
    dropped_columns = array1(names(which(is.na(fixef(m, add.dropped = TRUE))))),
    names = array1(rownames(s$coefficients)),
    coefficients = unname(s$coefficients), z = unname(z), vcov = unname(as.matrix(vcov(m))),
    varcorr = lapply(seq_along(vc), function(i) list(
      group = names(vc)[i], names = array1(colnames(vc[[i]])), cov = matrix(vc[[i]], nrow(vc[[i]]))
    )),
    residuals = array1(signif(unname(residuals(m, "pearson", scaled = TRUE)), 10)),
    varcorr_frame = lapply(frame, array1),
    printed = lines_of(s, signif.stars = FALSE),
    printed_varcorr = lines_of(vc),
    printed_z = array1(sub(" +$", "", capture.output(
      printCoefmat(z, digits = 4, signif.stars = FALSE, cs.ind = 1:2, tst.ind = 3,
                   P.values = TRUE, has.Pvalue = TRUE)
    )))
  )
}

cases <- lapply(models, describe)
cases$kenward_roger <- describe(models$sleepstudy, "Kenward-Roger")

# --- number formats and abbreviations, on random input
set.seed(20)
random_numbers <- function(n, spread) rnorm(n) * 10^runif(n, -spread, spread)
trimmed <- function(x) array1(trimws(x))
formats <- lapply(1:60, function(i) {
  x <- random_numbers(sample(6, 1), sample(0:5, 1))
  digits <- sample(c(2, 3, 4, 5, 7), 1)
  list(values = array1(x), digits = digits, printed = trimmed(format(x, digits = digits)),
       zapped = trimmed(format(zapsmall(x, digits + 1), digits = digits)))
})
p_values <- lapply(1:40, function(i) {
  n <- sample(5, 1)
  p <- ifelse(runif(n) < 0.5, runif(n), 10^runif(n, -20, 0))
  list(values = array1(p), printed = trimmed(format.pval(p, digits = 3)))
})
letters_used <- strsplit("abcdefghijklmnopqrstuvwxyzaeiouABCT.[]():^2345_ ", "")[[1]]
word <- function() paste0("x", paste(sample(letters_used, sample(20, 1), TRUE), collapse = ""), "z")
abbreviations <- lapply(1:40, function(i) {
  x <- c(replicate(sample(4, 1), word()), "recipe[T.A]:day", "recipe[T.B]:day")
  length <- sample(c(4, 6, 11), 1)
  list(names = array1(x), length = length, printed = array1(unname(abbreviate(x, length))))
})
coefficients <- lapply(1:40, function(i) {
  n <- sample(5, 1)
  x <- cbind(Estimate = random_numbers(n, i %% 5), "Std. Error" = abs(random_numbers(n, i %% 5)),
             df = runif(n, 1, 300), "t value" = 5 * rnorm(n), "Pr(>|t|)" = 10^runif(n, -20, 0))
  rownames(x) <- paste0("x", 1:n)
  list(values = unname(x), printed = array1(capture.output(
    printCoefmat(x, digits = 4, signif.stars = FALSE, cs.ind = 1:3, tst.ind = 4,
                 P.values = TRUE, has.Pvalue = TRUE)
  )))
})

versions <- lapply(c(lme4 = "lme4", lmerTest = "lmerTest", pbkrtest = "pbkrtest", nlme = "nlme"),
                   function(p) as.character(packageVersion(p)))
top <- list(versions = c(list(R = paste(R.version$major, R.version$minor, sep = ".")), versions),
            cases = cases, formats = formats, p_values = p_values,
            abbreviations = abbreviations, coefficients = coefficients)
body <- vapply(names(top), function(key) {
  value <- top[[key]]
  items <- vapply(value, json, "")
  if (is.null(names(value))) paste0(string(key), ":[\n", paste(items, collapse = ",\n"), "\n]")
  else paste0(string(key), ":{\n", paste0(string(names(value)), ":", items, collapse = ",\n"), "\n}")
}, "")
cat("{\n", paste(body, collapse = ",\n"), "\n}\n", sep = "")
