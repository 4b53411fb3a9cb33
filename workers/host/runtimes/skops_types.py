"""Types and functions that a skops file may name, beside those that skops itself lets through.

Each was looked at: what it does when it is made and when it is given its state, and what a function does with
any arguments. All of them only hold or compute numbers, and none runs, imports or opens what it is told to.
A crafted state can still reach beyond an array (a tree whose children lie out of bounds): for that there are
hosts.

Not here, and why: the distributions of scipy.stats, which a search keeps, run a text out of their state as
Python; anything that reads or writes files; distances and kernels by a function of one's own.
"""

_KERNELS = (
    "CompoundKernel",
    "ConstantKernel",
    "DotProduct",
    "ExpSineSquared",
    "Exponentiation",
    "Matern",
    "PairwiseKernel",
    "Product",
    "RBF",
    "RationalQuadratic",
    "Sum",
    "WhiteKernel",
)
_DISTANCES = (
    "BrayCurtisDistance",
    "CanberraDistance",
    "ChebyshevDistance",
    "DiceDistance",
    "EuclideanDistance",
    "HammingDistance",
    "HaversineDistance",
    "JaccardDistance",
    "MahalanobisDistance",
    "ManhattanDistance",
    "MatchingDistance",
    "MinkowskiDistance",
    "RogersTanimotoDistance",
    "RussellRaoDistance",
    "SEuclideanDistance",
    "SokalMichenerDistance",
    "SokalSneathDistance",
)
_LOSSES = (
    "AbsoluteError",
    "ExponentialLoss",
    "HalfBinomialLoss",
    "HalfGammaLoss",
    "HalfMultinomialLoss",
    "HalfPoissonLoss",
    "HalfSquaredError",
    "HalfTweedieLoss",
    "HalfTweedieLossIdentity",
    "HuberLoss",
    "PinballLoss",
)
_SPLITTERS = (
    "GroupKFold",
    "GroupShuffleSplit",
    "KFold",
    "LeaveOneGroupOut",
    "LeaveOneOut",
    "LeavePGroupsOut",
    "LeavePOut",
    "PredefinedSplit",
    "RepeatedKFold",
    "RepeatedStratifiedKFold",
    "ShuffleSplit",
    "StratifiedGroupKFold",
    "StratifiedKFold",
    "StratifiedShuffleSplit",
    "TimeSeriesSplit",
)
_SCORES_OF_CLASSES = (
    "accuracy_score",
    "balanced_accuracy_score",
    "f1_score",
    "fbeta_score",
    "jaccard_score",
    "log_loss",
    "matthews_corrcoef",
    "precision_score",
    "recall_score",
)
_SCORES_OF_NUMBERS = (
    "explained_variance_score",
    "max_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "median_absolute_error",
    "r2_score",
    "root_mean_squared_error",
)
_FEATURE_SCORES = ("chi2", "f_classif", "f_oneway", "f_regression", "r_regression")
_ONE_BY_ONE = frozenset(
    {
        "functools.partial",  # of a function that must be trusted itself
        "numpy.amax",
        "numpy.amin",
        "numpy.dtype",
        "numpy.mean",
        "numpy.median",
        "scipy._lib.array_api_compat.numpy._aliases.asarray",
        "scipy.interpolate._bsplines.BSpline",
        "scipy.interpolate._interpolate.interp1d",
        "scipy.sparse._csr.csr_matrix",
        "scipy.sparse._csc.csc_matrix",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.calibration._TemperatureScaling",
        "sklearn.cluster._bisect_k_means._BisectingTree",
        "sklearn.cluster._kmeans._kmeans_single_elkan",
        "sklearn.cluster._kmeans._kmeans_single_lloyd",
        "sklearn.compose._column_transformer.make_column_selector",
        "sklearn.compose._column_transformer._RemainderColsList",
        "sklearn.ensemble._gb_losses.BinomialDeviance",
        "sklearn.ensemble._gb_losses.LeastSquaresError",
        "sklearn.ensemble._gb_losses.MultinomialDeviance",
        "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.feature_selection._mutual_info.mutual_info_classif",
        "sklearn.feature_selection._mutual_info.mutual_info_regression",
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
        "sklearn.metrics._ranking.average_precision_score",
        "sklearn.metrics._ranking.roc_auc_score",
        "sklearn.metrics._scorer._CurveScorer",
        "sklearn.metrics._scorer._PassthroughScorer",
        "sklearn.metrics._scorer._PredictScorer",
        "sklearn.metrics._scorer._ProbaScorer",
        "sklearn.metrics._scorer._Scorer",
        "sklearn.metrics._scorer._ThresholdScorer",
        "sklearn.metrics._scorer._passthrough_scorer",
        "sklearn.multiclass._ConstantPredictor",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._ball_tree.BallTree32",
        "sklearn.neighbors._ball_tree.BallTree64",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neighbors._kd_tree.KDTree32",
        "sklearn.neighbors._kd_tree.KDTree64",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
        "sklearn.utils._bunch.Bunch",
        "sklearn.utils._metadata_requests.MetadataRequest",
        "sklearn.utils._metadata_requests.MethodMetadataRequest",
        "sklearn.utils.validation.check_array",
    }
)


def _in(module: str, names: tuple[str, ...], *endings: str) -> frozenset[str]:
    return frozenset(f"{module}.{name}{ending}" for name in names for ending in endings or ("",))


TRUSTED: frozenset[str] = _ONE_BY_ONE.union(
    _in("sklearn.gaussian_process.kernels", _KERNELS),
    _in("sklearn.metrics._dist_metrics", _DISTANCES, "", "32", "64"),
    _in("sklearn._loss.loss", _LOSSES),
    _in("sklearn.model_selection._split", _SPLITTERS),
    _in("sklearn.metrics._classification", _SCORES_OF_CLASSES),
    _in("sklearn.metrics._regression", _SCORES_OF_NUMBERS),
    _in("sklearn.feature_selection._univariate_selection", _FEATURE_SCORES),
)
