/** Calls to the service: the caller's key and groups go along, errors come back as problems. */

const KEY = "footnote.key";
const GROUPS = "footnote.groups";

/** An error with what a person needs: one sentence, the fields at fault, and the request's id. */
export class Problem extends Error {
  constructor({ title, detail, status = 0, code = "", request_id: requestId = "", errors = [] }) {
    super(detail);
    Object.assign(this, { title, detail, status, code, requestId, errors });
  }
}

/** The access that this browser tab calls with. */
export function access() {
  return { key: sessionStorage.getItem(KEY) ?? "", groups: sessionStorage.getItem(GROUPS) ?? "" };
}

/** Keep the access until the tab is closed. Empty groups send no header at all. */
export function setAccess({ key, groups }) {
  for (const [name, value] of [[KEY, key.trim()], [GROUPS, groups.trim()]]) {
    if (value) sessionStorage.setItem(name, value);
    else sessionStorage.removeItem(name);
  }
}

/** A response that went well; raises `Problem`, or `AbortError` when `signal` fires. */
export async function call(path, { method = "GET", body, signal } = {}) {
  const { key, groups } = access();
  const headers = new Headers();
  let response;
  try {
    if (body !== undefined) headers.set("Content-Type", "application/json");
    if (key) headers.set("Authorization", `Bearer ${key}`);
    if (groups) headers.set("X-Footnote-Groups", groups);
  } catch {
    throw new Problem({ title: "Bad access", detail: "The key or the groups hold characters that cannot be sent." });
  }
  try {
    response = await fetch(path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unreachable();
  }
  if (response.ok) return response;
  throw await problemOf(response);
}

/** The service does not answer, or stopped in the middle. */
export function unreachable() {
  return new Problem({
    title: "No connection",
    detail: "The service cannot be reached. Check that it is running and that you are online, then ask again.",
    code: "unreachable",
  });
}

async function problemOf(response) {
  const requestId = response.headers.get("X-Request-Id") ?? "";
  const fallback = {
    title: "Error",
    detail: `The service answered with status ${response.status}.`,
    status: response.status,
    request_id: requestId,
  };
  try {
    return new Problem({ ...fallback, ...(await response.json()) });
  } catch {
    return new Problem(fallback);
  }
}

/** Every item of a list, page by page. */
export async function listAll(path) {
  const items = [];
  let cursor = null;
  do {
    const query = new URLSearchParams({ limit: "500", ...(cursor === null ? {} : { cursor }) });
    const page = await (await call(`${path}?${query}`)).json();
    items.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor !== null);
  return items;
}

/** The extracted text of a document's version, to the letter: a byte order mark counts as a character too. */
export async function documentText(id, version) {
  const response = await call(`/v1/documents/${encodeURIComponent(id)}/text?version=${version}`);
  try {
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(await response.arrayBuffer());
  } catch {
    throw unreachable();
  }
}

/** The events of a server-sent stream: `{name, value}`. Comments, which keep the line open, are passed over. */
export async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let name = "message";
  let data = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines.map((raw) => raw.replace(/\r$/, ""))) {
        if (line === "") {
          if (data.length > 0) yield { name, value: JSON.parse(data.join("\n")) };
          [name, data] = ["message", []];
        } else if (line.startsWith("event:")) {
          name = line.slice(6).trim();
        } else if (line.startsWith("data:")) {
          data.push(line.slice(5).replace(/^ /, ""));
        }
      }
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}
