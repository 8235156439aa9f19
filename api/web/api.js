/** Asks the API. All addresses are relative to the page's own, so that a proxy may serve it below a prefix. */

const MONITORING = "api/v1/monitoring";
const TIMEOUT_SECONDS = 20;
const ANY_AGE_SECONDS = 1e9;

/** The API has refused; the message is its own. `retrySeconds` is when to come back, null if it did not say. */
export class Refused extends Error {
  constructor(status, message, retrySeconds) {
    super(message);
    this.name = "Refused";
    this.status = status;
    this.retrySeconds = retrySeconds;
  }
}

export class Api {
  #token;

  /** @param {import("./token.js").Token} token */
  constructor(token) {
    this.#token = token;
  }

  /** Return the description of the API. */
  description() {
    return this.#json("openapi.json");
  }

  /** Return how each host is. */
  hosts() {
    return this.#json(`${MONITORING}/hosts`);
  }

  /** Return the GPUs of a host, however old its last snapshot is. */
  gpusOf(host) {
    return this.#json(`${MONITORING}/gpus?${new URLSearchParams({ host, max_age: ANY_AGE_SECONDS })}`);
  }

  /** Return readings over time. @param {Record<string, string | number>} query */
  history(query) {
    return this.#json(`${MONITORING}/history?${new URLSearchParams(query)}`);
  }

  /** Open the stream, after the event of that id, or with each host's latest. */
  stream(lastId, signal) {
    const headers = { Accept: "text/event-stream", ...(lastId === null ? {} : { "Last-Event-ID": lastId }) };
    return this.#answered(`${MONITORING}/stream`, { headers, signal, cache: "no-store" });
  }

  async #json(target) {
    const answer = await this.#answered(target, { signal: AbortSignal.timeout(TIMEOUT_SECONDS * 1000) });
    return answer.json();
  }

  /** Return the answer, if it is a success; where a token is needed, ask for one first. */
  async #answered(target, request) {
    for (;;) {
      const token = this.#token.value;
      const authorization = token === null ? {} : { Authorization: `Bearer ${token}` };
      const answer = await fetch(target, { ...request, headers: { ...request.headers, ...authorization } });
      if (answer.ok) return answer;
      const message = await refusal(answer);
      if (answer.status !== 401) throw new Refused(answer.status, message, retrySeconds(answer));
      await this.#token.replaced(token, message);
    }
  }
}

async function refusal(answer) {
  try {
    return (await answer.json()).error.message;
  } catch {
    // A proxy in between may answer for the API, in whatever form.
    return `${answer.status} ${answer.statusText}`.trim();
  }
}

function retrySeconds(answer) {
  const seconds = Number.parseInt(answer.headers.get("Retry-After") ?? "", 10);
  return Number.isNaN(seconds) ? null : seconds;
}
