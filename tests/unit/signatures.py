"""Signatures as verdicts hold them."""

from shared.catalog.verdict import Column, Datatype, Layout, Output, Signature

IRIS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
CHURN = {"plan": Datatype.BYTES, "age": Datatype.INT64, "spend": Datatype.FP64, "active": Datatype.BOOL}


def signature(
    columns: dict[str, Datatype], *, named: bool = True, layout: Layout = Layout.MATRIX
) -> Signature:
    return Signature(
        inputs=[Column(name=name, datatype=datatype) for name, datatype in columns.items()],
        named=named,
        layout=layout,
        outputs=[
            Output(name="label", datatype=Datatype.BYTES),
            Output(name="probabilities", datatype=Datatype.FP64, shape=[3]),
        ],
        classes=["setosa", "versicolor", "virginica"],
    )


def iris() -> Signature:
    return signature(dict.fromkeys(IRIS, Datatype.FP64))


def churn() -> Signature:
    return signature(CHURN, layout=Layout.TABLE)
