"""What the papers print, and what was not run here, with the reason."""

# MIRI, Table 3: RMSE, MAE and MMD with their deviations over ten masks.
TOY = {
    "gain": ((1.128, 0.004), (0.600, 0.002), (0.342, 0.015)),
    "tabcsdi": ((1.128, 0.004), (0.600, 0.002), (0.337, 0.010)),
    "knewimp": ((1.130, 0.004), (0.600, 0.002), (0.335, 0.009)),
    "missdiff": ((0.951, 0.008), (0.437, 0.004), (0.189, 0.009)),
    "hyperimpute": ((0.862, 0.020), (0.278, 0.006), (0.094, 0.018)),
    "miri_paper": ((0.938, 0.022), (0.325, 0.009), (0.036, 0.007)),
}
# MIRI, appendix F.2: average MMD over ten tables at 20, 40 and 60 % MCAR.
UCI_MMD = {
    "miri_paper": (0.05, 0.04, 0.05),
    "hyperimpute": (0.07, 0.06, 0.07),
    "missdiff": (0.04, 0.03, 0.04),
    "mice": (0.10, 0.07, 0.10),
    "knewimp": (0.38, 0.27, 0.21),
    "tabcsdi": (0.54, 0.55, 0.55),
    "gain": (0.60, 0.55, 0.52),
}
# MIRI, Table 1: FID, PSNR (dB) and SSIM on CIFAR-10 at 20, 40 and 60 %.
IMAGES = {
    "gain": (
        (164.11, 21.21, 0.7803),
        (281.62, 16.20, 0.5576),
        (285.53, 11.99, 0.2933),
    ),
    "knewimp": (
        (153.09, 18.84, 0.6463),
        (193.68, 15.81, 0.4740),
        (264.40, 14.04, 0.3317),
    ),
    "missdiff": (
        (90.51, 22.29, 0.7702),
        (129.84, 19.65, 0.6648),
        (197.91, 16.78, 0.4989),
    ),
    "HyperImpute": (
        (8.92, 34.09, 0.9750),
        (65.01, 23.22, 0.7931),
        (130.36, 20.17, 0.6533),
    ),
    "MIRI": (
        (6.01, 32.29, 0.9736),
        (27.53, 27.14, 0.9126),
        (68.58, 23.22, 0.8063),
    ),
}
# MissDiff, Table 1: RMSE and its deviation over five runs; the columns "Wine"
# and "Census".
WINE = {
    "mean": (0.076, 0.003),
    "iterative": (0.065, 0.003),
    "missforest": (0.060, 0.002),
    "gain": (0.072, 0.004),
    "tabcsdi": (0.065, 0.004),
    "missdiff": (0.053, 0.001),
}
CENSUS = {
    "mode": (0.120, 0.003),
    "iterative": (0.101, 0.002),
    "missforest": (0.112, 0.004),
    "gain": (0.123, 0.057),
    "tabcsdi": (0.099, 0.003),
    "missdiff": (0.089, 0.006),
}
_OUT = ("california", "letter", "adult", "default", "shoppers", "beijing")
_MIXED = ("adult", "default", "shoppers", "beijing")
_ALL = ("california", "letter", "magic", "bean", *_OUT[2:])
# DiffPuter: Table 1 (accuracy, MCAR in-sample), Tables 5 (MCAR), 8 (MAR) and 11
# (MNAR) out-of-sample, Table 7 (MAR in-sample). RMSE times 100 there.
DIFFPUTER = {
    ("mcar", "in_sample", "accuracy"): {
        method: dict(zip(_MIXED, shares))
        for method, shares in (
            ("mode", (55.20, 53.37, 50.60, 14.06)),
            ("mice", (50.31, 51.88, 43.43, 14.89)),
            ("missforest", (63.51, 56.97, 51.10, 19.13)),
            ("gain", (53.73, 54.49, 47.25, 14.71)),
            ("tabcsdi", (58.72, 50.57, 43.24, 13.03)),
            ("missdiff", (57.39, 66.01, 48.10, 19.02)),
            ("HyperImpute", (64.99, 74.39, 59.19, 26.91)),
            ("diffputer", (70.12, 77.64, 58.82, 27.17)),
        )
    },
    ("mcar", "out_of_sample", "rmse"): {
        "diffputer": dict(
            zip(_OUT, (0.5418, 0.4774, 0.9131, 0.7050, 0.7401, 0.7103))
        ),
    },
    ("mar", "in_sample", "rmse"): {
        "missforest": dict(
            zip(
                _ALL,
                (
                    0.7208,
                    0.8420,
                    0.7475,
                    0.5124,
                    1.0697,
                    0.8322,
                    0.7015,
                    1.0447,
                ),
            )
        ),
        "diffputer": dict(
            zip(
                _ALL,
                (
                    0.5712,
                    0.4812,
                    0.6729,
                    0.3519,
                    0.7942,
                    0.7752,
                    0.6011,
                    0.7138,
                ),
            )
        ),
    },
    ("mar", "out_of_sample", "rmse"): {
        "diffputer": dict(
            zip(
                _ALL,
                (
                    0.5084,
                    0.4791,
                    0.6584,
                    0.2965,
                    0.8766,
                    0.7251,
                    0.7586,
                    0.7119,
                ),
            )
        ),
    },
    ("mnar", "out_of_sample", "rmse"): {
        "diffputer": dict(
            zip(
                _ALL,
                (
                    0.5099,
                    0.4801,
                    0.6608,
                    0.2977,
                    0.8891,
                    0.7305,
                    0.7555,
                    0.7241,
                ),
            )
        ),
    },
}
# MissDiff, Census: Tables 7 and 9 (SDMetrics, %), 2 and 4 (accuracy, %), 10 and
# 12 (F1, weighted F1, AUROC), the last four by XGBoost.
GENERATION = {
    ("adult", "mcar_row", "missdiff"): (80.59, 79.48, 0.344, 0.470, 0.772),
    ("adult", "mcar_row", "mean"): (76.92, 78.45, 0.280, 0.423, 0.685),
    ("adult", "mcar_column", "missdiff"): (82.70, 71.68, 0.141, 0.305, 0.539),
    ("adult", "mcar_column", "delete"): (75.03, 72.89, 0.063, 0.249, 0.469),
    ("adult", "mcar_column", "mean"): (76.17, 79.60, 0.413, 0.523, 0.757),
    ("adult", "mcar", "missdiff"): (83.16, 79.49, 0.291, 0.431, 0.650),
    ("adult", "mcar", "delete"): (74.94, 75.39, 0.045, 0.237, 0.474),
    ("adult", "mcar", "mean"): (76.60, 75.96, 0.225, 0.375, 0.655),
    ("adult", "mar", "missdiff"): (77.45, 79.95, 0.346, 0.473, 0.833),
    ("adult", "mar", "delete"): (73.78, 69.48, 0.108, 0.276, 0.441),
    ("adult", "mar", "mean"): (76.08, 77.43, 0.224, 0.376, 0.774),
    ("adult", "mnar", "missdiff"): (77.88, 80.95, 0.464, 0.564, 0.834),
    ("adult", "mnar", "delete"): (75.72, 66.50, 0.233, 0.364, 0.499),
    ("adult", "mnar", "mean"): (76.97, 80.03, 0.383, 0.501, 0.746),
}
_MODELS = ("tree", "adaboost", "logistic", "mlp", "forest", "boosting")
# Tables 13 to 17 and 2: accuracy in % by each model, Census.
BY_MODEL = {
    cell: dict(zip(_MODELS, shares))
    for cell, shares in {
        ("mcar_row", "missdiff"): (78.08, 80.38, 79.20, 77.70, 80.10, 79.48),
        ("mcar_row", "mean"): (74.55, 79.28, 77.08, 75.13, 77.13, 78.45),
        ("mcar_column", "missdiff"): (62.65, 72.18, 73.50, 68.33, 73.68, 71.68),
        ("mcar_column", "delete"): (69.10, 76.30, 76.30, 65.75, 76.33, 72.89),
        ("mcar_column", "mean"): (78.88, 80.65, 77.45, 75.00, 79.88, 79.60),
        ("mcar", "missdiff"): (80.68, 78.70, 76.20, 75.33, 79.33, 79.49),
        ("mcar", "delete"): (72.68, 76.13, 76.30, 72.18, 76.30, 75.39),
        ("mcar", "mean"): (67.70, 75.96, 76.25, 74.30, 76.38, 75.96),
    }.items()
}
# What of the papers was not run, and why.
_TIME = "two cores, shared with other work; the same command goes on with them"
HOLES = (
    ("cells above that are fewer than tables times masks", _TIME),
    (
        "HyperImpute, in all three papers",
        "run where the tables have it; it takes a minute or two a table",
    ),
    (
        "MIRI, Table 1: FID; the other methods but for two at 60 %; Figures 3"
        " and 5 to 7 but for one grid each; the larger network but at 60 %;"
        " CelebA",
        "no weights of Inception; no time; a GPU for a quarter of an hour;"
        " CelebA is not among the data",
    ),
    (
        "DiffPuter, tables, mechanisms and methods that its part below lacks",
        _TIME,
    ),
    (
        "DiffPuter, News and Gesture; its other baselines",
        "not among the data; not among the methods",
    ),
    (
        "DiffPuter, Figures 3 to 6 on other tables than california; Table 2"
        " (seconds on a GPU)",
        "no time; a GPU for a quarter of an hour, which images had",
    ),
    (
        "MissDiff, Table 1 but for Wine and Census, and MIMIC4ED (Tables 3, 8,"
        " 11), for which california stands",
        "not among the data",
    ),
    (
        "MissDiff, Table 5 (imputation under MAR and NMAR); Figure 1 by column"
        " at 90 %",
        "no time; there some row would keep nothing",
    ),
    (
        "MissDiff, STaSy and MIWAE",
        "not among the methods",
    ),
)
