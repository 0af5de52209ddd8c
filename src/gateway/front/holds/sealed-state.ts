// The `requestState` that modern clients carry from round to round: signed, bound to one principal and one request, and
// good for a time. Clients may read it; what they change is refused.
import { randomBytes } from "node:crypto";
import { sha256Of } from "../../../runtime/files/sha256.ts";
import { isJsonObject, isWritable, type JsonObject } from "../../json-rpc.ts";
import { openSigned, signText } from "../../signed-text.ts";

/** What a state is good for. */
export interface Bound {
  readonly principal: string;
  readonly method: string;
  /** `paramsDigest` of its params. */
  readonly digest: string;
}

/** `consent`: that a person agreed to the call, for the next request alone; null: nobody was asked. */
export type State =
  /** A call that the daemon of that generation holds. */
  | { readonly kind: "hold"; readonly call: string; readonly round: number; readonly generation: number }
  /** A modern backend's own state, as it came; null: it gave none. */
  | {
      readonly kind: "backend";
      readonly state: string | null;
      readonly consent: string | null;
      /** Of the identity that the call had. */
      readonly mark?: string;
    }
  /** Addresses that a person had to visit before the call is made again; the answers come under these keys. */
  | { readonly kind: "visit"; readonly keys: readonly string[]; readonly consent: string | null };

const KEY_BYTES = 32;

export class StateSeal {
  #key = randomBytes(KEY_BYTES);

  /** For the next daemon; never written anywhere. */
  get key(): string {
    return this.#key.toString("base64url");
  }

  /** States that were sealed with the key before are refused from now on. A text that is no key changes nothing. */
  take(key: string): void {
    const bytes = Buffer.from(key, "base64url");
    if (bytes.length === KEY_BYTES) this.#key = bytes;
  }

  /** `untilMs`: wall clock, so that another process reads it alike. */
  seal(state: State, bound: Bound, untilMs: number): string {
    return signText(this.#key, { untilMs, ...state }, textsOf(bound));
  }

  /** Null: it is not ours, or is for something else, or its time is over. */
  open(token: string, bound: Bound, nowMs: number): State | null {
    // We wrote it.
    const opened = openSigned(this.#key, token, textsOf(bound));
    const state = opened as (State & { readonly untilMs: number }) | undefined;
    return state !== undefined && state.untilMs > nowMs ? state : null;
  }
}

function textsOf({ principal, method, digest }: Bound): readonly string[] {
  return [principal, method, digest];
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
