"""What a caller of predict is told: the outputs by row, and in the headers how it went."""

import time
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from api.flight import Flight
from api.predict_request import Fields
from shared.catalog.verdict import Output, Signature
from shared.ids import new_id_text
from shared.predictions.errors import ModelFailed
from shared.predictions.numbers import write_json
from shared.predictions.predict_body import V2Asked
from shared.predictions.v2 import encode_answer

Answer = tuple[int, Fields, bytes]  # status, headers, body


class PredictResponse(msgspec.Struct, frozen=True, kw_only=True):
    """`prediction` for `input`, `predictions` for `inputs`: the first output of the model's signature.

    What else was asked for stands under its name, likewise for one row or for each: `probabilities` by class
    (in a list where the model names no classes), `scores`, `transformed`; any other within `outputs`.
    """

    prediction: Any | UnsetType = UNSET
    predictions: list[Any] | UnsetType = UNSET
    probabilities: dict[str, float] | list[Any] | UnsetType = UNSET
    scores: Any | UnsetType = UNSET
    transformed: Any | UnsetType = UNSET
    outputs: dict[str, Any] | UnsetType = UNSET
    model: str
    version: int
    prediction_id: str
    cached: bool = False
    warnings: tuple[str, ...] | UnsetType = UNSET


_FIELDS = frozenset({"probabilities", "scores", "transformed"})  # of PredictResponse


def answer_of(flight: Flight) -> Answer:
    """The answer to a flight that brought a reply, in the form that was asked in.

    Raises:
        ModelFailed: the reply does not fit what is known of the model.
    """
    outputs = (flight.reply.outputs if flight.reply else None) or {}
    fields: Fields = [(b"server-timing", _server_timing(flight)), *flight.cache_headers]
    if flight.admission is not None:
        fields += flight.admission.headers
    if flight.body.v2 is not None:
        return _v2_answer(flight, flight.body.v2, outputs, fields)
    fields.append((b"content-type", b"application/json"))
    return 200, fields, _json(flight, outputs)


def _json(flight: Flight, outputs: dict[str, list[Any]]) -> bytes:
    signature = flight.route.version.signature
    main: list[Any] | UnsetType = outputs.get(signature.outputs[0].name, UNSET)
    if len(outputs) == 1 and main is not UNSET:
        return write_json(_response(flight, main))
    return write_json(_response(flight, main, **_further(outputs, signature, single=flight.body.single)))


def _response(flight: Flight, main: list[Any] | UnsetType, **further: Any) -> PredictResponse:
    version, single = flight.route.version, flight.body.single
    return PredictResponse(
        prediction=main[0] if single and main else UNSET,
        predictions=UNSET if single else main,
        model=version.model_name,
        version=version.number,
        prediction_id=new_id_text(),
        cached=flight.cached,
        warnings=flight.body.rows.warnings or UNSET,
        **further,
    )


def _further(outputs: dict[str, list[Any]], signature: Signature, *, single: bool) -> dict[str, Any]:
    """The fields of the answer for what is not the main output."""
    fields: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for output in signature.outputs[1:]:
        rows = outputs.get(output.name)
        if rows is not None:
            answered: Any = _by_class(rows, _classes_of(output, signature))
            place = fields if output.name in _FIELDS else others
            place[output.name] = answered[0] if single else answered
    return {**fields, "outputs": others} if others else fields


def _classes_of(output: Output, signature: Signature) -> list[Any] | None:
    return signature.classes if output.name == "probabilities" else output.classes


def _v2_answer(flight: Flight, asked: V2Asked, outputs: dict[str, list[Any]], fields: Fields) -> Answer:
    version = flight.route.version
    answer = encode_answer(
        outputs,
        asked,
        signature=version.signature,
        model=version.model_name,
        version=version.number,
        warnings=flight.body.rows.warnings,
    )
    fields.append((b"content-type", answer.content_type))
    if answer.header_bytes is not None:
        fields.append((b"inference-header-content-length", b"%d" % answer.header_bytes))
    return 200, fields, answer.body


def _by_class(rows: list[Any], classes: list[Any] | None) -> list[Any]:
    if classes is None:
        return rows
    names = [str(name) for name in classes]
    try:
        return [dict(zip(names, row, strict=True)) for row in rows]
    except (ValueError, TypeError):  # what a model answers now need not be what it was seen to answer
        raise ModelFailed(f"the model gave no probability for each of its {len(names)} classes") from None


def _server_timing(flight: Flight) -> bytes:
    """Durations in milliseconds. Source: the W3C's Server Timing."""
    reply = flight.reply
    return b"queue;dur=%.2f, compute;dur=%.2f, total;dur=%.2f" % (
        reply.queue_us / 1000 if reply else 0.0,
        reply.compute_us / 1000 if reply else 0.0,
        (time.monotonic() - flight.started) * 1000,
    )
