"""The official `openai` client for Python against a server: each call as an application would make it."""

import json
import os

import openai

client = openai.OpenAI(base_url=os.environ["TENANTRY_URL"], api_key=os.environ["TENANTRY_KEY"], max_retries=0)
ask = [{"role": "user", "content": "Say hello, please."}]
weather = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
triage = {
    "type": "json_schema",
    "json_schema": {
        "name": "triage",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"urgency": {"type": "string", "enum": ["low", "high"]}, "score": {"type": "integer"}},
            "required": ["urgency", "score"],
            "additionalProperties": False,
        },
    },
}


def fails(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


# models
assert {"offline", "gpt-test"} <= {model.id for model in client.models.list()}
assert client.models.retrieve("offline").object == "model"

# chat
answer = client.chat.completions.create(model="gpt-test", messages=ask)
assert answer.choices[0].message.content == "Hello from the provider."
assert answer.usage.prompt_tokens == 11
raw = client.chat.completions.with_raw_response.create(model="offline", messages=ask)
assert raw.headers["ratelimit"].startswith('"ai";r='), raw.headers
assert raw.parse().model == "offline"

# streaming
for model in ("gpt-test", "offline"):
    with client.chat.completions.create(model=model, messages=ask, stream=True) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks).strip()
    assert all(chunk.usage is None for chunk in chunks)
    stream = client.chat.completions.create(
        model=model, messages=ask, stream=True, stream_options={"include_usage": True}
    )
    assert list(stream)[-1].usage.prompt_tokens > 0
with client.chat.completions.stream(model="offline", messages=ask) as stream:
    assert stream.get_final_completion().choices[0].finish_reason == "stop"

# tools
question = [{"role": "user", "content": "What is the weather in the city of Paris? city: Paris"}]
answer = client.chat.completions.create(model="offline", messages=question, tools=[weather], tool_choice="required")
call = answer.choices[0].message.tool_calls[0]
assert call.function.name == "get_weather" and json.loads(call.function.arguments)["city"] == "Paris"
question += [answer.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "Sunny, 21 degrees"}]
answer = client.chat.completions.create(model="offline", messages=question, tools=[weather])
assert answer.choices[0].message.content

# JSON Schema
answer = client.chat.completions.create(model="offline", messages=ask, response_format=triage)
assert json.loads(answer.choices[0].message.content)["urgency"] in ("low", "high")

# errors
error = fails(openai.NotFoundError, lambda: client.chat.completions.create(model="nothing", messages=ask))
assert error.code == "model_not_found" and error.param == "model" and error.type == "invalid_request_error"
error = fails(openai.BadRequestError, lambda: client.chat.completions.create(model="offline", messages="no"))
assert error.param == "messages", error.body
error = fails(openai.BadRequestError, lambda: client.chat.completions.create(model="refuses", messages=ask))
assert error.request_id.startswith("req_")
fails(openai.InternalServerError, lambda: client.chat.completions.create(model="breaks", messages=ask))
stranger = client.with_options(api_key="tk_wrong")
error = fails(openai.AuthenticationError, lambda: stranger.models.list())
assert error.code == "unauthorized" and error.type == "authentication_error"
limited = client.with_options(api_key=os.environ["TENANTRY_LIMITED_KEY"])
error = fails(openai.RateLimitError, lambda: limited.chat.completions.create(model="offline", messages=ask))
assert error.code == "rate_limited" and int(error.response.headers["retry-after"]) > 0

print("all good")
