// Asks every question on standard input (a JSON array) twice, plain and streamed, with the npm `openai` client, and
// prints [{plain, streamed}]. Usage: node ask.mjs BASE_URL MODEL
import { readFileSync } from "node:fs";
import OpenAI from "openai";

const [baseURL, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 });
const answers = [];
for (const content of JSON.parse(readFileSync(0, "utf8"))) {
  const request = { model, temperature: 0, max_tokens: 24, seed: 1, messages: [{ role: "user", content }] };
  const plain = (await client.chat.completions.create(request)).choices[0].message.content;
  let streamed = "";
  for await (const chunk of await client.chat.completions.create({ ...request, stream: true })) {
    streamed += chunk.choices[0]?.delta?.content ?? "";
  }
  answers.push({ plain, streamed });
}
console.log(JSON.stringify(answers));
