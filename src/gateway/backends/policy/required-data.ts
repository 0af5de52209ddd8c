// The shares and folders that a backend requires, whether they are there, and how answers report their absence.
import type { ServedBackend } from "../../../config/snapshot.ts";
import {
  BACKEND_UNAVAILABLE,
  errorReply,
  isError,
  isJsonObject,
  REQUEST_TIMEOUT,
  type Reply,
} from "../../json-rpc.ts";

/** State of all required shares and folders together. */
export type RequiredData =
  /** `mounts` identifies the mounts: after a change, programs that started earlier hold files of a mount that is gone. */
  | { readonly kind: "there"; readonly mounts: string }
  /** A share is being mounted, or is about to be remounted: programs end, and calls wait. */
  | {
      readonly kind: "moving";
      readonly requirement: string;
      /**
       * Since when the share is unusable, monotonic ms; null: the share stays usable until the programs have
       * ended.
       */
      readonly sinceMs: number | null;
    }
  | {
      readonly kind: "away";
      /** As configured: `CORE` or `CORE:/dev`. */
      readonly requirement: string;
      /** Why, for people: `it is not mounted`. */
      readonly reason: string;
      /** Monotonic ms. */
      readonly sinceMs: number;
    };

/** The route over which required shares are mounted, best first. */
export const DATA_ROUTES = ["tb", "fallback", "none"] as const;
export type DataRoute = (typeof DATA_ROUTES)[number];

export type Absence = Exclude<RequiredData, { kind: "there" }>;

/** What the daemon tells the gateway about shares and folders that backends require. */
export interface DataSource {
  /** The state of these requirements together: the first missing one decides. Never throws. */
  look(requires: ServedBackend["requires"]): RequiredData;
  /** The worst route among these requirements, as last seen. Never throws. */
  route?(requires: ServedBackend["requires"]): DataRoute;
  /** Calls the listener after each change of the result of `look`. */
  onChange(listener: () => void): void;
  /** Checks these requirements again; resolves when done, or after a limit. Never rejects. */
  lookNow?(requires: ServedBackend["requires"]): Promise<void>;
  /** Reports that a call needs these requirements. Never throws. */
  want?(requires: ServedBackend["requires"]): void;
  /**
   * Called once, with a function that lists all running programs. Returns a function, which is called after
   * each change of that list.
   */
  watchPrograms?(running: () => readonly DataPrograms[]): () => void;
}

/** The programs of one backend. */
export interface DataPrograms {
  readonly requires: ServedBackend["requires"];
  /** Leaders of the process groups, including programs that are ending. */
  readonly pids: readonly number[];
}

/** Required data and its settings; null: nothing is required. */
export type Needs = {
  readonly data: RequiredData;
  readonly unavailableAfterMs: number;
  readonly whenUnavailable: ServedBackend["whenUnavailable"];
} | null;

/** Says which data is away and why, such as `share CORE is away: it is not mounted`. */
export function awayText(data: Absence): string {
  const share = `share ${data.requirement}`;
  return data.kind === "moving" ? `${share} is being mounted anew` : `${share} is away: ${data.reason}`;
}

/**
 * True if no instance may start, because required data is absent, or its share is about to be mounted again.
 */
export function isMissing({ needs }: { readonly needs: Needs }): boolean {
  return needs !== null && needs.data.kind !== "there";
}

/** The data that is away; null: nothing is required, or nothing is away. */
export function awayOf({ needs }: { readonly needs: Needs }): Extract<RequiredData, { kind: "away" }> | null {
  return needs?.data.kind === "away" ? needs.data : null;
}

/** Errors of a file system whose server is gone, as they appear at the beginning of a tool's answer. */
const CUT_OFF = /\b(EIO|ESTALE|ETIMEDOUT|EHOSTDOWN|EHOSTUNREACH|ENOTCONN)\b|input\/output error/i;
const BEGINNING = 2_000;

/** True if a tool failed with an error that may be the first sign of missing data. */
export function looksCutOff(reply: Reply): boolean {
  if (isError(reply) || reply.result["isError"] !== true) return false;
  const { content } = reply.result;
  if (!Array.isArray(content)) return false;
  return content.some((part: unknown) => {
    const text = isJsonObject(part) ? part["text"] : null;
    return typeof text === "string" && CUT_OFF.test(text.slice(0, BEGINNING));
  });
}

/**
 * Adds to an error that the data is away, or, with `meanwhile`, that it was. Successes and errors that name
 * the share stay unchanged.
 */
export function withAbsence(reply: Reply, data: Absence, when: "now" | "meanwhile"): Reply {
  const text = when === "now" ? awayText(data) : `meanwhile ${awayText(data).replace(" is ", " was ")}`;
  if (isError(reply)) {
    const { code, message } = reply.error;
    const isOurs = code === REQUEST_TIMEOUT || code === BACKEND_UNAVAILABLE;
    const isNamed = message.includes(`share ${data.requirement} `);
    return isOurs && !isNamed ? errorReply(code, `${message}; ${text}`) : reply;
  }
  const { result } = reply;
  if (!isJsonObject(result) || result["isError"] !== true || !Array.isArray(result["content"])) return reply;
  return { ...reply, result: { ...result, content: [...result["content"], { type: "text", text }] } };
}
