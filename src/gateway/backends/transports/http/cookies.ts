// The cookies that one server has set, sent only to its exact origin: balancers find the machine of a session by one.
import { dropOldest } from "../../../../runtime/bounded-map.ts";

const MOST = 20;
const LONGEST = 4_096;
/** Of the whole header: most servers refuse requests with more. */
const LONGEST_HEADER = 8_192;
/** Several headers are joined by commas, which dates also have. */
const BETWEEN = /,\s*(?=[\w!#$%&'*+.^`|~-]+=)/;

export class Cookies {
  /** As `Cookie` carries them; null: there are none. */
  header: string | null = null;
  readonly #values = new Map<string, string>();

  /** Takes a response's `Set-Cookie`. Paths and domains are not minded; one that has expired is removed. */
  take(given: string): void {
    for (const cookie of given.split(BETWEEN)) {
      const [, name, value = ""] =
        /^([\w!#$%&'*+.^`|~-]+)=([\x21-\x3a\x3c-\x7e]*)\s*(?:;|$)/.exec(cookie) ?? [];
      if (name === undefined || cookie.length > LONGEST) continue;
      this.#values.delete(name);
      if (value !== "" && !/;\s*max-age=(?:0|-)/i.test(cookie)) this.#values.set(name, value);
    }
    dropOldest(this.#values, MOST);
    while (this.#written().length > LONGEST_HEADER) dropOldest(this.#values, this.#values.size - 1);
    this.header = this.#written() || null;
  }

  #written(): string {
    return [...this.#values].map(([name, value]) => `${name}=${value}`).join("; ");
  }
}
