// The official `openai` client for Node against a server: each call as an application would make it.
const assert = require('node:assert/strict')
const OpenAI = require('openai')

const baseURL = process.env.TENANTRY_URL
const client = new OpenAI({ baseURL, apiKey: process.env.TENANTRY_KEY, maxRetries: 0 })
const messages = [{ role: 'user', content: 'Say hello, please.' }]
const weather = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'The weather in a city',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
}
const triage = {
  type: 'json_schema',
  json_schema: {
    name: 'triage',
    strict: true,
    schema: {
      type: 'object',
      properties: { urgency: { type: 'string', enum: ['low', 'high'] } },
      required: ['urgency'],
      additionalProperties: false,
    },
  },
}

async function fails(kind, call) {
  try {
    await call()
  } catch (error) {
    assert.ok(error instanceof kind, `${error}`)
    return error
  }
  assert.fail(`no ${kind.name} was thrown`)
}

async function main() {
  const models = []
  for await (const model of client.models.list()) models.push(model.id)
  assert.ok(models.includes('offline') && models.includes('gpt-test'))
  assert.equal((await client.models.retrieve('offline')).object, 'model')

  const answer = await client.chat.completions.create({ model: 'gpt-test', messages })
  assert.equal(answer.choices[0].message.content, 'Hello from the provider.')
  const { response } = await client.chat.completions.create({ model: 'offline', messages }).withResponse()
  assert.match(response.headers.get('ratelimit'), /^"ai";r=/)

  for (const model of ['gpt-test', 'offline']) {
    let text = ''
    for await (const chunk of await client.chat.completions.create({ model, messages, stream: true })) {
      assert.ok(!chunk.usage)
      text += chunk.choices[0]?.delta?.content ?? ''
    }
    assert.ok(text.trim())
    let last
    const told = { model, messages, stream: true, stream_options: { include_usage: true } }
    for await (const chunk of await client.chat.completions.create(told)) last = chunk
    assert.ok(last.usage.prompt_tokens > 0)
  }
  const final = await client.chat.completions.stream({ model: 'offline', messages }).finalChatCompletion()
  assert.equal(final.choices[0].finish_reason, 'stop')

  const question = [{ role: 'user', content: 'What is the weather in the city of Paris? city: Paris' }]
  const called = await client.chat.completions.create({
    model: 'offline',
    messages: question,
    tools: [weather],
    tool_choice: 'required',
  })
  const call = called.choices[0].message.tool_calls[0]
  assert.equal(JSON.parse(call.function.arguments).city, 'Paris')
  question.push(called.choices[0].message, { role: 'tool', tool_call_id: call.id, content: 'Sunny' })
  const spoken = await client.chat.completions.create({ model: 'offline', messages: question, tools: [weather] })
  assert.ok(spoken.choices[0].message.content)

  const filled = await client.chat.completions.create({ model: 'offline', messages, response_format: triage })
  assert.ok(['low', 'high'].includes(JSON.parse(filled.choices[0].message.content).urgency))

  const missing = await fails(OpenAI.NotFoundError, () =>
    client.chat.completions.create({ model: 'nothing', messages }))
  assert.deepEqual([missing.code, missing.param, missing.type], ['model_not_found', 'model', 'invalid_request_error'])
  assert.match(missing.requestID, /^req_/)
  await fails(OpenAI.BadRequestError, () => client.chat.completions.create({ model: 'refuses', messages }))
  await fails(OpenAI.InternalServerError, () => client.chat.completions.create({ model: 'breaks', messages }))
  const stranger = client.withOptions({ apiKey: 'tk_wrong' })
  assert.equal((await fails(OpenAI.AuthenticationError, () => stranger.models.list())).code, 'unauthorized')
  const limited = client.withOptions({ apiKey: process.env.TENANTRY_LIMITED_KEY })
  const refused = await fails(OpenAI.RateLimitError, () =>
    limited.chat.completions.create({ model: 'offline', messages }))
  assert.equal(refused.code, 'rate_limited')
  assert.ok(Number(refused.headers.get('retry-after')) > 0)

  console.log('all good')
}

main()
