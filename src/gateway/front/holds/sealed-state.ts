// The `requestState` that modern clients carry from round to round: signed, bound to one principal and one request, and
// good for a time. Clients may read it; what they change is refused.
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { sha256Of } from "../../../runtime/files/sha256.ts";
import { isJsonObject, isWritable, type JsonObject } from "../../json-rpc.ts";

/** What a state is good for. */
export interface Bound {
  readonly principal: string;
  readonly method: string;
  /** `paramsDigest` of its params. */
  readonly digest: string;
}

export type State =
  /** A call that the daemon of that generation holds. */
  | { readonly kind: "hold"; readonly call: string; readonly round: number; readonly generation: number }
  /** A modern backend's own state, as it came; null: it gave none. */
  | ({ readonly kind: "backend"; readonly state: string | null } & Before)
  /** Addresses that a person had to visit before the call is made again; the answers come under these keys. */
  | ({ readonly kind: "visit"; readonly keys: readonly string[] } & Before);

/** What the call had in the round before. */
interface Before {
  readonly isAgreed: boolean;
  /** The name of its identity. A backend with a process for each client signs its states in each as it likes. */
  readonly identity: string;
}

const KEY_BYTES = 32;

export class StateSeal {
  #key = randomBytes(KEY_BYTES);

  /** For the next daemon; never written anywhere. */
  get key(): string {
    return this.#key.toString("base64url");
  }

  /** What was sealed before with another key is nobody's. A key that is none changes nothing. */
  take(key: string): void {
    const bytes = Buffer.from(key, "base64url");
    if (bytes.length === KEY_BYTES) this.#key = bytes;
  }

  /** `untilMs`: wall clock, so that another process reads it alike. */
  seal(state: State, bound: Bound, untilMs: number): string {
    const text = Buffer.from(JSON.stringify({ untilMs, ...state })).toString("base64url");
    return `${text}.${this.#signature(text, bound)}`;
  }

  /** Null: it is not ours, or is for something else, or its time is over. */
  open(token: string, bound: Bound, nowMs: number): State | null {
    const dot = token.indexOf(".");
    if (dot < 0) return null;
    const text = token.slice(0, dot);
    if (!isEqual(token.slice(dot + 1), this.#signature(text, bound))) return null;
    // We wrote it.
    const state: State & { readonly untilMs: number } = JSON.parse(
      Buffer.from(text, "base64url").toString("utf8"),
    );
    return state.untilMs > nowMs ? state : null;
  }

  #signature(text: string, { principal, method, digest }: Bound): string {
    const signed = JSON.stringify([text, principal, method, digest]);
    return createHmac("sha256", this.#key).update(signed).digest("base64url");
  }
}

/** Texts, and not the bytes they stand for: base64 spells some of these in several ways. */
function isEqual(given: string, right: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(right)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Equal for one request in all its rounds, whatever the order of its keys. Null: nested too deep. */
export function paramsDigest(params: JsonObject | undefined): string | null {
  const { _meta, inputResponses, requestState, ...own } = params ?? {};
  return isWritable(own) ? sha256Of(canonical(own)) : null;
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (!isJsonObject(value)) return JSON.stringify(value);
  const entries = Object.keys(value)
    .toSorted()
    .map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`);
  return `{${entries.join(",")}}`;
}
