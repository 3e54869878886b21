//! The wire: what clients send, and what they get back, well-formed or not. With the smallest model, whose words do
//! not matter here.

use anyhow::{Context, Result, ensure};
use pawl_tests::plugins::target;
use pawl_tests::server::{Options, Server};
use serde_json::{Value, json};

const MODEL: &str = "smollm2-135m-instruct-q4_1";

fn serve(folder: &tempfile::TempDir) -> Result<Server> {
    let hostile = target().canonicalize()?.join("guests/hostile");
    let settings = format!(
        "[model]\ncontext = 3072\n[chat]\nmax-rounds = 2\nmax-tokens = 48\nmax-result = \"2KiB\"\n\
         [plugins.calendar.grant]\nkeyvalue = true\nrandom = true\n[plugins.hostile]\npath = {hostile:?}\n"
    );
    Server::start(&Options { model: MODEL, settings: Some(settings) }, folder.path())
}

fn user(text: &str) -> Value {
    json!([{"role": "user", "content": text}])
}

fn message(error: &Value) -> &str {
    error["error"]["message"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_told_what_to_change() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = serve(&folder)?;
    let path = "/v1/chat/completions";

    let (status, error) = server.post_text(path, "{\"model\": \"default\", \"messages\": [}".into()).await?;
    assert_eq!(status, 400);
    assert!(message(&error).contains("line 1 column 35"), "{error}");

    let (status, error) = server.post(path, &json!({"model": "default", "messages": "hi"})).await?;
    assert_eq!((status, &error["error"]["param"]), (400, &json!("messages")), "{error}");

    let (status, error) = server.post(path, &json!({"model": "gpt-99", "messages": user("hi")})).await?;
    assert_eq!((status, &error["error"]["code"]), (404, &json!("model_not_found")));
    assert!(message(&error).contains("gpt-99") && message(&error).contains(MODEL), "{error}");

    let choice = json!({"type": "function", "function": {"name": "calendar__fly"}});
    let body = json!({"model": "default", "messages": user("hi"), "tool_choice": choice});
    let (status, error) = server.post(path, &body).await?;
    assert_eq!((status, &error["error"]["code"]), (404, &json!("tool_not_found")), "{error}");

    let long = "word ".repeat(5000);
    let body = json!({"model": "default", "messages": user(&long), "tool_choice": "none"});
    let (status, error) = server.post(path, &body).await?;
    assert_eq!((status, &error["error"]["code"]), (400, &json!("context_length_exceeded")));
    let numbers: Vec<usize> =
        message(&error).split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    assert!(numbers.contains(&3072) && numbers.iter().any(|n| *n > 5000), "both lengths: {error}");

    let unsupported =
        json!({"type": "object", "properties": {"a": {"not": {"type": "string"}}}, "required": ["a"]});
    let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": unsupported}});
    let body = json!({"model": "default", "messages": user("hi"), "response_format": format});
    let (status, error) = server.post(path, &body).await?;
    assert_eq!(status, 400, "never decoded unconstrained");
    assert!(message(&error).contains("not"), "names the keyword: {error}");

    for (field, value) in [
        ("temperature", json!(9)),
        ("top_p", json!(1.5)),
        ("min_p", json!(2)),
        ("repetition_penalty", json!(0)),
        ("presence_penalty", json!(5)),
        ("n", json!(2)),
        ("max_tokens", json!(0)),
        ("functions", json!([{"name": "f"}])),
        ("function_call", json!({"name": "f"})),
        ("logit_bias", json!({"50256": -100})),
    ] {
        let mut body = json!({"model": "default", "messages": user("hi")});
        body[field] = value;
        let (status, error) = server.post(path, &body).await?;
        assert_eq!((status, &error["error"]["param"]), (400, &json!(field)), "{error}");
    }

    let tools = json!([{"type": "function", "function": {"name": "here", "parameters": {"type": "object"}}}]);
    let choice = json!({"type": "function", "function": {"name": "elsewhere"}});
    let body = json!({"model": "default", "messages": user("hi"), "tools": tools, "tool_choice": choice});
    let (status, error) = server.post(path, &body).await?;
    assert_eq!((status, &error["error"]["param"]), (400, &json!("tool_choice")), "{error}");
    assert!(message(&error).contains("elsewhere"), "{error}");

    let (status, _) = server.get("/v2/nothing").await?;
    assert_eq!(status, 404);
    for odd in ["/v1/models/%ff", "/v1/runs?limit=many"] {
        let (status, error) = server.get(odd).await?;
        assert!(status == 400 && !message(&error).is_empty(), "{odd}: {status} {error}");
    }
    let (status, _) = server.get(path).await?;
    assert_eq!(status, 405);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_a_browser_cannot_reach_a_local_server() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = serve(&folder)?;
    let body = json!({"model": "default", "messages": user("hi")}).to_string();
    let url = format!("{}/v1/chat/completions", server.url);

    let simple =
        server.client().post(&url).header("content-type", "text/plain").body(body.clone()).send().await?;
    assert_eq!(simple.status().as_u16(), 415, "what a page can send without being asked is refused");

    for path in [
        "/v1/tools/calendar.list-events",
        "/v1/workflows/any/runs",
        "/v1/runs/r1/signals/go",
        "/v1/runs/r1/cancel",
    ] {
        let empty = server.client().post(format!("{}{path}", server.url)).send().await?;
        assert_eq!(
            empty.status().as_u16(),
            415,
            "{path}: an empty body can be sent without being asked, too"
        );
    }

    let rebound =
        server.client().post(&url).header("content-type", "application/json").header("host", "evil.example");
    assert_eq!(
        rebound.body(body).send().await?.status().as_u16(),
        403,
        "a name that resolves here is refused"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_of_the_client_come_back_as_valid_calls() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = serve(&folder)?;
    let parameters = json!({"type": "object", "properties": {
        "city": {"type": "string", "enum": ["Oslo", "Rome"]}, "days": {"type": "integer", "minimum": 1, "maximum": 7}},
        "required": ["city", "days"]});
    let tools = json!([{"type": "function", "function": {"name": "get_forecast", "description": "Weather forecast", "parameters": parameters}}]);
    let validator = jsonschema::validator_for(&parameters)?;

    for choice in [json!("required"), json!({"type": "function", "function": {"name": "get_forecast"}})] {
        let body = json!({"model": "default", "messages": user("Rome for three days?"), "tools": tools, "tool_choice": choice});
        let (status, reply) = server.post("/v1/chat/completions", &body).await?;
        ensure!(status == 200, "{reply}");
        assert_eq!(reply["choices"][0]["finish_reason"], "tool_calls");
        let call = &reply["choices"][0]["message"]["tool_calls"][0];
        assert_eq!(
            (call["type"].as_str(), call["function"]["name"].as_str()),
            (Some("function"), Some("get_forecast"))
        );
        let arguments: Value =
            serde_json::from_str(call["function"]["arguments"].as_str().context("a string")?)?;
        assert!(validator.is_valid(&arguments), "{arguments}");
        assert_eq!(reply["pawl"]["calls"], json!([]), "a client's tool is not run here");

        let mut streamed = body.clone();
        streamed["stream"] = json!(true);
        streamed["stream_options"] = json!({"include_usage": true});
        let events = server.stream("/v1/chat/completions", &streamed).await?;
        assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
        let chunks: Vec<Value> = events[..events.len() - 1]
            .iter()
            .map(|event| serde_json::from_str(event))
            .collect::<Result<_, _>>()?;
        let call = chunks
            .iter()
            .find_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].get(0))
            .context("a call")?;
        assert_eq!(call["function"]["name"], "get_forecast");
        assert!(chunks.iter().any(|chunk| chunk["choices"][0]["finish_reason"] == "tool_calls"));
        assert!(chunks.iter().any(|chunk| chunk["usage"]["prompt_tokens"].as_u64() > Some(0)));
    }

    let body = json!({"model": "default", "messages": user("Rome?"), "tools": tools, "tool_choice": "none"});
    let (_, reply) = server.post("/v1/chat/completions", &body).await?;
    assert!(reply["choices"][0]["message"].get("tool_calls").is_none(), "{reply}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_under_a_schema_is_valid_or_said_to_be_cut_short() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = serve(&folder)?;
    let schema = json!({"type": "object", "properties": {
        "mood": {"enum": ["good", "bad"]}, "score": {"type": "integer", "minimum": 0, "maximum": 9}},
        "required": ["mood", "score"], "additionalProperties": false});
    let format = json!({"type": "json_schema", "json_schema": {"name": "mood", "schema": schema}});
    let mut body = json!({"model": "default", "messages": user("What a day!"), "response_format": format});
    let (status, reply) = server.post("/v1/chat/completions", &body).await?;
    ensure!(status == 200, "{reply}");
    let value: Value =
        serde_json::from_str(reply["choices"][0]["message"]["content"].as_str().context("text")?)?;
    assert!(jsonschema::is_valid(&schema, &value), "{value}");
    assert_eq!(reply["choices"][0]["finish_reason"], "stop");

    body["max_tokens"] = json!(2);
    let (_, reply) = server.post("/v1/chat/completions", &body).await?;
    assert_eq!(reply["choices"][0]["finish_reason"], "length");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_outlives_a_plugin_that_misbehaves_and_the_model_is_told() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = serve(&folder)?;
    for (function, told) in
        [("loop-forever", "time"), ("allocate-forever", "memory"), ("trap", "crashed"), ("return-bytes", "")]
    {
        let choice = json!({"type": "function", "function": {"name": format!("hostile__{function}")}});
        let body = json!({"model": "default", "messages": user("Please do."), "tool_choice": choice});
        let (status, reply) = server.post("/v1/chat/completions", &body).await?;
        assert_eq!(status, 200, "{function}: {reply}");
        let call = &reply["pawl"]["calls"][0];
        assert_eq!(call["tool"], format!("hostile.{function}"));
        if !told.is_empty() {
            assert!(call["error"].as_str().is_some_and(|error| error.contains(told)), "{call}");
        }
        assert_eq!(reply["pawl"]["rounds"], 2, "the model went on after it: {reply}");
    }
    let (status, error) =
        server.post("/v1/tools/hostile.return-bytes", &json!({"count": 100_000_000})).await?;
    assert_eq!(status, 504, "{error}");
    let arguments = json!({"from": "2026-01-01", "to": "2026-01-02"});
    let (status, reply) = server.post("/v1/tools/calendar__list-events", &arguments).await?;
    assert_eq!(
        (status, reply),
        (200, json!({"result": {"events": [], "notes": []}})),
        "other plugins are as they were"
    );
    Ok(())
}

/// One peer answers such requests with 200 and whatever JSON it likes, another dies of some. Here each is refused by name, or
/// the answer is valid.
#[tokio::test(flavor = "multi_thread")]
async fn a_schema_is_kept_or_refused_and_the_server_lives() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = serve(&folder)?;
    let ask = async |schema: &Value| {
        let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
        let body = json!({"model": "default", "messages": user("Any."), "response_format": format, "max_tokens": 200});
        server.post("/v1/chat/completions", &body).await
    };
    let object = |part: Value| json!({"type": "object", "properties": {"a": part}, "required": ["a"]});
    let (mut kept, mut refused) = (0, 0);
    for schema in [
        json!({"not": {"type": "string"}}),
        object(json!({"type": "string", "pattern": "^(?=a)b"})),
        object(json!({"type": "string", "pattern": "^("})),
        object(json!({"type": "string", "pattern": "^(a{1,1000}){1,1000}$"})),
        object(json!({"type": "string", "format": "uuid"})),
        object(json!({"type": "string", "format": "date"})),
        object(json!({"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"})),
        object(json!({"type": "array", "items": {"enum": [1, 2]}, "uniqueItems": true})),
        object(json!({"type": "array", "contains": {"const": 3}})),
        object(json!({"type": "integer", "multipleOf": 7, "minimum": 10, "maximum": 30})),
        object(json!({"allOf": [{"type": "integer"}, {"minimum": 3, "maximum": 4}]})),
        object(json!({"allOf": [{"const": 1}, {"const": 2}]})),
        json!({"type": "object", "patternProperties": {"^x": {"type": "integer"}}, "additionalProperties": false, "minProperties": 2}),
        json!({"type": "object", "if": {"required": ["a"]}, "then": {"required": ["b"]}}),
        json!({"$ref": "#/$defs/loop", "$defs": {"loop": {"$ref": "#/$defs/loop"}}}),
        json!({"$ref": "https://example.test/elsewhere.json"}),
        json!({"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object", "additionalProperties": false, "required": ["n", "of"],
            "properties": {"n": {"enum": [1]}, "of": {"type": "array", "maxItems": 1, "items": {"$ref": "#/$defs/tree"}}}}}}),
        json!({"type": "nothing"}),
        json!("string"),
    ] {
        let (status, reply) = ask(&schema).await?;
        if status == 200 && reply["choices"][0]["finish_reason"] == "stop" {
            let text = reply["choices"][0]["message"]["content"].as_str().context("content")?;
            ensure!(
                jsonschema::is_valid(&schema, &serde_json::from_str(text)?),
                "{schema} answered by {text}"
            );
            kept += 1;
        } else if status == 200 {
            ensure!(reply["choices"][0]["finish_reason"] == "length", "{schema}: {reply}");
        } else {
            ensure!(status == 400 && !message(&reply).is_empty(), "{schema}: {status} {reply}");
            refused += 1;
        }
    }
    assert!(kept >= 5 && refused >= 6, "{kept} kept, {refused} refused");

    // Of 5 MB, of 200 levels, and then as always.
    let large = json!({"enum": (0..110_000).map(|n| format!("{n}-{:030}", 0)).collect::<Vec<_>>()});
    let (status, error) = ask(&large).await?;
    assert_eq!((status, message(&error)), (413, "the body is larger than 4 MiB; send less"), "{error}");
    let (status, error) =
        ask(&json!({"enum": (0..50_000).map(|n| n.to_string().repeat(4)).collect::<Vec<_>>()})).await?;
    assert!(status == 400 && message(&error).contains("524288 at most"), "{status} {error}");
    for levels in [60, 200] {
        let deep = (0..levels).fold(json!({"type": "integer"}), |inner, _| object(inner));
        let (status, error) = ask(&deep).await?;
        assert!(
            status == 400
                && message(&error).contains(if levels == 60 { "48 schemas deep" } else { "127 levels" }),
            "{error}"
        );
    }
    let (status, _) = ask(&object(json!({"type": "integer", "minimum": 0, "maximum": 9}))).await?;
    assert_eq!(status, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_repeats_and_streams_say_what_whole_answers_say() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = serve(&folder)?;
    let body = json!({"model": "default", "messages": user("Tell me of the sea."), "tool_choice": "none",
        "temperature": 1.0, "top_p": 0.9, "seed": 11, "max_tokens": 24});
    let (_, first) = server.post("/v1/chat/completions", &body).await?;
    let (_, second) = server.post("/v1/chat/completions", &body).await?;
    let text = first["choices"][0]["message"]["content"].as_str().context("text")?;
    assert_eq!(Some(text), second["choices"][0]["message"]["content"].as_str());
    assert!(!text.is_empty());

    let mut streamed = body.clone();
    streamed["stream"] = json!(true);
    streamed["logprobs"] = json!(true);
    streamed["top_logprobs"] = json!(2);
    let events = server.stream("/v1/chat/completions", &streamed).await?;
    let mut whole = String::new();
    let mut bytes: Vec<u8> = Vec::new();
    for event in &events[..events.len() - 1] {
        let chunk: Value = serde_json::from_str(event)?;
        for token in chunk["choices"][0]["logprobs"]["content"].as_array().into_iter().flatten() {
            bytes.extend(serde_json::from_value::<Vec<u8>>(token["bytes"].clone())?);
            let top = token["top_logprobs"].as_array().context("alternatives")?;
            ensure!(top.len() == 2 && token["logprob"].as_f64().is_some_and(|p| p <= 0.0), "{token}");
        }
        whole.push_str(chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
    }
    assert_eq!(whole, text);
    assert_eq!(String::from_utf8_lossy(&bytes), text, "the tokens told of are those of the text");

    // Beside plugins, only what belongs to the answer is told of; and null where nobody asked.
    let mut decided = json!({"model": "default", "messages": user("Hi"), "max_tokens": 24, "logprobs": true,
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]});
    let (_, whole) = server.post("/v1/chat/completions", &decided).await?;
    let told = whole["choices"][0]["logprobs"]["content"].as_array().context("logprobs")?;
    let tokens: String = told.iter().filter_map(|token| token["token"].as_str()).collect();
    let content = whole["choices"][0]["message"]["content"].as_str().unwrap_or_default();
    assert_eq!(tokens, content, "{whole}");
    assert!(first["choices"][0]["logprobs"].is_null());

    // What ends it is no part of it, nor are its tokens.
    let stop: String = text.chars().skip(8).take(3).collect();
    let mut stopped = streamed.clone();
    stopped["stream"] = json!(false);
    stopped["stop"] = json!([stop]);
    let (_, reply) = server.post("/v1/chat/completions", &stopped).await?;
    let told = reply["choices"][0]["logprobs"]["content"].as_array().context("logprobs")?;
    let tokens: String = told.iter().filter_map(|token| token["token"].as_str()).collect();
    let content = reply["choices"][0]["message"]["content"].as_str().context("content")?;
    assert_eq!(tokens, content, "{reply}");
    assert!(!content.contains(&stop) && content.len() < text.len(), "{reply}");

    decided["logprobs"] = json!(false);
    decided["top_logprobs"] = json!(3);
    let (status, error) = server.post("/v1/chat/completions", &decided).await?;
    assert_eq!((status, &error["error"]["param"]), (400, &json!("top_logprobs")), "{error}");
    Ok(())
}

/// What clients of OpenAI's send and rely on, where it is easily taken otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn requests_mean_what_they_mean_elsewhere() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = serve(&folder)?;
    let path = "/v1/chat/completions";
    let tool = |name: &str, parameters: Value| json!({"type": "function", "function": {"name": name, "parameters": parameters}});
    let good = || {
        tool("lamp", json!({"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]}))
    };
    let ask = async |more: Value| {
        let mut body = json!({"model": "default", "messages": user("Hi"), "max_tokens": 24});
        body.as_object_mut().context("a body")?.extend(more.as_object().cloned().unwrap_or_default());
        server.post(path, &body).await
    };

    // What is no JSON Schema is refused before anything is generated, and what cannot be enforced by the tool that it is of.
    let wrong =
        tool("w", json!({"type": "object", "properties": {"city": {"type": "string", "required": true}}}));
    let (status, error) = ask(json!({"tools": [good(), wrong]})).await?;
    assert_eq!((status, &error["error"]["param"]), (400, &json!("tools[1].function.parameters")), "{error}");
    let unknown = tool("u", json!({"$schema": "https://example.test/own", "type": "object"}));
    let (status, error) = ask(json!({"tools": [unknown]})).await?;
    assert_eq!((status, &error["error"]["param"]), (400, &json!("tools[0].function.parameters")), "{error}");
    let refused = tool("picky", json!({"type": "object", "properties": {"a": {"not": {"type": "string"}}}}));
    let (status, error) = ask(json!({"tools": [good(), refused]})).await?;
    assert_eq!((status, &error["error"]["param"]), (400, &json!("tools")), "{error}");
    assert!(message(&error).contains("tool \"picky\"") && message(&error).contains("not"), "{error}");

    // A schema says of itself which draft it is of, and that one asks for formats to be held.
    let dated = json!({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "additionalProperties": false,
        "properties": {"day": {"type": "string", "format": "date"}}, "required": ["day"]});
    for seed in 0..4 {
        let format = json!({"type": "json_object", "schema": dated});
        let (status, reply) =
            ask(json!({"response_format": format, "temperature": 2, "seed": seed, "stream_options": {"include_usage": null}})).await?;
        assert_eq!(status, 200, "{reply}");
        let text = reply["choices"][0]["message"]["content"].as_str().context("content")?;
        assert!(serde_json::from_str::<Value>(text)?["day"].is_string(), "{reply}");
    }

    // Stop strings and limits are about the answer, not about how it is told from a call.
    for stop in [" ", "we", "answer"] {
        let (status, reply) = ask(json!({"tools": [good()], "stop": [stop]})).await?;
        let message = &reply["choices"][0]["message"];
        let said = message["content"].as_str().unwrap_or_default();
        assert!(status == 200 && (!said.is_empty() || message["tool_calls"].is_array()), "{stop:?}: {reply}");
        assert!(!said.contains(stop), "{stop:?}: {reply}");
    }
    let (status, reply) =
        ask(json!({"tools": [good()], "tool_choice": "required", "stop": ["}", "\"", ":"]})).await?;
    assert_eq!((status, &reply["choices"][0]["finish_reason"]), (200, &json!("tool_calls")), "{reply}");
    let (_, reply) = ask(json!({"tools": [good()], "max_tokens": 1, "logprobs": true, "top_p": 0})).await?;
    let choice = &reply["choices"][0];
    assert_eq!(choice["finish_reason"], "length", "{reply}");
    assert_eq!(choice["logprobs"]["content"].as_array().map(Vec::len), Some(1), "{reply}");
    assert!(choice["message"]["content"].as_str().is_some_and(|said| !said.is_empty()), "{reply}");

    let calls =
        json!([{"id": "a", "type": "function", "function": {"name": "lamp", "arguments": "{\"on\":true}"}}]);
    let messages = json!([{"role": "user", "content": "Light."}, {"role": "assistant", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "b", "content": "done"}]);
    let (status, error) = ask(json!({"messages": messages})).await?;
    assert_eq!((status, &error["error"]["param"]), (400, &json!("messages[2].tool_call_id")), "{error}");
    Ok(())
}
