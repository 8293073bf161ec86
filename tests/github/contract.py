"""Hold requests and answers against GitHub's own OpenAPI description.

`openapi.json` is the part of it that the tests need, in GitHub's words (OPENAPI_LICENSE); this
module reads it as JSON Schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT202012
from werkzeug.datastructures import Headers

from deployer.demo.github.statuses import API_VERSIONS

Json = dict[str, Any]

_URN = "urn:github"
_JSON = "application~1json"  # as a JSON pointer writes application/json

# What GitHub answers on any operation, whether its description lists it there or not.
_GENERAL_ANSWERS = {
    400: "bad_request",
    401: "requires_authentication",
    403: "forbidden",
    404: "not_found",
    422: "validation_failed",
}

_formats = FormatChecker(formats=())


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path of the description, e.g. `post /repos/{owner}/{repo}/…`."""

    method: str
    path: str
    spec: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path}"


class Contract:
    """GitHub's description, as far as the tests need it."""

    def __init__(self) -> None:
        text = (Path(__file__).parent / "openapi.json").read_text("utf-8")
        self._description: Json = _as_json_schema(json.loads(text))
        self._registry: Registry[Any] = Registry().with_resource(
            _URN, DRAFT202012.create_resource(self._description)
        )

    def find(self, method: str, place: str) -> tuple[Operation, dict[str, str]] | None:
        """Return the operation that a request is for, and the parameters in its path.

        None: GitHub's description has no such operation, or our part of it.
        """
        for path, operations in self._description["paths"].items():
            found = re.fullmatch(_pattern(path), place)
            if found and method.lower() in operations:
                operation = Operation(method.lower(), path, operations[method.lower()])
                return operation, found.groupdict()
        return None

    def parameter_mistakes(
        self, operation: Operation, path: Mapping[str, str], query: Mapping[str, str]
    ) -> list[str]:
        """Return what is wrong with the parameters of a request, one line each."""
        given = {"path": path, "query": query}
        mistakes = []
        for parameter in self._parameters(operation):
            value = given[parameter["in"]].get(parameter["name"])
            if value is None:
                if parameter.get("required"):
                    mistakes.append(f"{parameter['name']}: missing")
                continue
            schema = parameter["schema"]
            number = schema["type"] == "integer" and value.isdigit()
            validator = Draft202012Validator(schema, format_checker=_formats)
            mistakes += _mistakes(validator, int(value) if number else value, parameter["name"])
        known = {parameter["name"] for parameter in self._parameters(operation)}
        return mistakes + [f"{name}: not a parameter" for name in query if name not in known]

    def body_mistakes(self, operation: Operation, body: object) -> list[str]:
        """Return what is wrong with the JSON body of a request, one line each."""
        if "requestBody" not in operation.spec:
            return []
        pointer = f"{_pointer(operation)}/requestBody/content/{_JSON}/schema"
        return _mistakes(self._validator(pointer), body, "body")

    def answer_mistakes(self, operation: Operation, status: int, body: object) -> list[str]:
        """Return why an answer is not one that GitHub would give, one line each."""
        responses = operation.spec["responses"]
        if str(status) in responses:
            name = responses[str(status)].get("$ref", "").rpartition("/")[2]
            pointer = f"{_pointer(operation)}/responses/{status}"
        elif status in _GENERAL_ANSWERS:
            name = _GENERAL_ANSWERS[status]
            pointer = ""
        else:
            return [f"GitHub does not answer {status}"]
        if name:
            pointer = f"/components/responses/{name}"
        validator = self._validator(f"{pointer}/content/{_JSON}/schema")
        return [f"{status} {mistake}" for mistake in _mistakes(validator, body, "answer")]

    def _parameters(self, operation: Operation) -> Iterator[Json]:
        """Yield the operation's parameters, references resolved."""
        for parameter in operation.spec["parameters"]:
            name = parameter.get("$ref", "").rpartition("/")[2]
            yield self._description["components"]["parameters"][name] if name else parameter

    def _validator(self, pointer: str) -> Draft202012Validator:
        return Draft202012Validator(
            {"$ref": f"{_URN}#{quote(pointer)}"},
            registry=self._registry,
            format_checker=_formats,
        )


def header_mistakes(headers: Headers) -> list[str]:
    """Return which of the headers that GitHub asks for are missing or wrong.

    https://docs.github.com/rest/using-the-rest-api/getting-started-with-the-rest-api#headers
    """
    mistakes = []
    if not headers.get("User-Agent"):
        mistakes.append("User-Agent: missing; GitHub refuses such requests")
    if headers.get("Accept") != "application/vnd.github+json":
        mistakes.append("Accept: should be application/vnd.github+json")
    if headers.get("X-GitHub-Api-Version") not in API_VERSIONS:
        mistakes.append(f"X-GitHub-Api-Version: should be one of {sorted(API_VERSIONS)}")
    return mistakes


def _pattern(path: str) -> str:
    """Return what the places of a path match; a ref may have slashes (GitHub's x-multi-segment)."""
    return re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path.replace("{ref}", "(?P<ref>.+)"))


def _pointer(operation: Operation) -> str:
    return f"/paths/{operation.path.replace('/', '~1')}/{operation.method}"


def _mistakes(validator: Draft202012Validator, value: object, where: str) -> list[str]:
    return [
        f"{'.'.join([where, *map(str, error.absolute_path)])}: {error.message}"
        for error in validator.iter_errors(value)
    ]


def _as_json_schema(node: Any) -> Any:  # noqa: ANN401 - any part of a JSON document
    """Translate OpenAPI 3.0's one dialect word that our part uses: `nullable`."""
    if isinstance(node, list):
        return [_as_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _as_json_schema(value) for key, value in node.items()}
    if node.get("nullable") is True and isinstance(node.get("type"), str):
        node["type"] = [node["type"], "null"]
    return node


@_formats.checks("date-time", raises=ValueError)
def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


@_formats.checks("uri", raises=ValueError)
def _is_uri(value: object) -> bool:
    if not isinstance(value, str):
        return True
    parts = urlsplit(value)
    return bool(parts.scheme and parts.netloc) and " " not in value
