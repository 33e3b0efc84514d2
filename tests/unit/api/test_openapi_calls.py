from __future__ import annotations

from api.openapi_calls import Field, group_calls

DOCUMENT = {
    "paths": {
        "/v1/answer": {
            "post": {
                "summary": "Answer",
                "description": "Give ``reason`` too.",
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Ask"}}}},
                "responses": {"200": {}, "400": {}},
            }
        },
        "/v1/answers/{answer_id}": {
            "get": {
                "parameters": [
                    {"name": "answer_id", "in": "path", "required": True, "schema": {"type": "string"}},
                    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1.0, "maximum": 500.0}},
                ],
                "responses": {"200": {}},
            }
        },
        "/v1/collections/{name}/documents/{external_id}": {"delete": {"summary": "Delete", "responses": {"200": {}}}},
        "/health/live": {"get": {"responses": {"200": {}}}},
    },
    "components": {
        "schemas": {
            "Ask": {
                "type": "object",
                "required": ["question"],
                "properties": {
                    "question": {"type": "string", "minLength": 1, "maxLength": 10000},
                    "turns": {
                        "oneOf": [{"type": "array", "items": {"$ref": "#/components/schemas/Turn"}}, {"type": "null"}]
                    },
                    "mode": {"type": "string", "enum": ["hybrid", "dense"], "default": "hybrid"},
                    "stream": {"type": "boolean", "default": False},
                },
            },
            "Turn": {
                "type": "object",
                "properties": {"role": {"type": "string"}, "before": {"$ref": "#/components/schemas/Turn"}},
            },
        }
    },
}


def test_calls_are_grouped_by_what_they_are_about():
    groups = {group.name: [(call.method, call.path) for call in group.calls] for group in group_calls(DOCUMENT)}

    assert groups == {
        "answer": [("POST", "/v1/answer"), ("GET", "/v1/answers/{answer_id}")],
        "documents": [("DELETE", "/v1/collections/{name}/documents/{external_id}")],
        "health": [("GET", "/health/live")],
    }


def test_a_body_shows_its_fields_with_types_and_limits_and_ends_within_itself():
    call = group_calls(DOCUMENT)[0].calls[0]

    assert call.fields == (
        Field("question", "body", "string", True, "not empty, at most 10,000 characters"),
        Field("turns", "body", "list of object | null", False, ""),
        Field("role", "body", "string", False, "", depth=1),
        Field("before", "body", "object", False, "", depth=1),
        Field("mode", "body", '"hybrid" | "dense"', False, "default hybrid"),
        Field("stream", "body", "boolean", False, "default false"),
    )
    assert call.description == ("Give ", "reason", " too.")
    assert call.success == "200"
    assert call.anchor == "post-v1-answer"


def test_parameters_say_where_they_go():
    call = group_calls(DOCUMENT)[0].calls[1]

    assert call.fields == (
        Field("answer_id", "path", "string", True, ""),
        Field("limit", "query", "integer", False, "from 1, to 500"),
    )
