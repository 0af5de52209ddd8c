// The shares and folders that a backend requires, and what answers say when they are away.
import type { ServedBackend } from "../../../config/snapshot.ts";
import {
  BACKEND_UNAVAILABLE,
  errorReply,
  isError,
  isJsonObject,
  REQUEST_TIMEOUT,
  type Reply,
} from "../../json-rpc.ts";

/** The state of all required shares and folders together. */
export type RequiredData =
  /** `mounts` changes when a share is remounted: programs then hold files of a mount that is gone. */
  | { readonly kind: "there"; readonly mounts: string }
  /** A share is remounted: programs end, and calls wait. */
  | {
      readonly kind: "moving";
      readonly requirement: string;
      /** Since when the share is unusable, monotonic ms. null: the share stays usable until the programs have ended. */
      readonly sinceMs: number | null;
    }
  | {
      readonly kind: "away";
      /** As configured: `CORE` or `CORE:/dev`. */
      readonly requirement: string;
      /** For people: `it is not mounted`. */
      readonly reason: string;
      /** Monotonic ms. */
      readonly sinceMs: number;
    };

export type Absence = Exclude<RequiredData, { kind: "there" }>;

/** What the daemon says about required shares and folders. */
export interface DataSource {
  /** The first missing requirement decides. Never throws. */
  status(requires: ServedBackend["requires"]): RequiredData;
  /** Called after each change of what `status` returns. */
  onChange(listener: () => void): void;
  /** Resolves when these requirements have been checked, or after a time limit. Never rejects. */
  refresh?(requires: ServedBackend["requires"]): Promise<void>;
  /** Called when a call needs these requirements. Never throws. */
  want?(requires: ServedBackend["requires"]): void;
  /**
   * Called once; `running` lists all running programs. The returned function is called after each change of
   * that list.
   */
  watchPrograms?(running: () => readonly DataPrograms[]): () => void;
}

export interface DataPrograms {
  readonly requires: ServedBackend["requires"];
  /** Leaders of process groups, also of programs that are ending. */
  readonly pids: readonly number[];
}

/**
 * The state of the data that a backend requires, and what happens while the data is unavailable; null: nothing is
 * required.
 */
export type Needs = {
  readonly data: RequiredData;
  readonly unavailableAfterMs: number;
  readonly whenUnavailable: ServedBackend["whenUnavailable"];
} | null;

/** Returns for example `share CORE is away: it is not mounted`. */
export function unavailableText(data: Absence): string {
  const share = `share ${data.requirement}`;
  return data.kind === "moving" ? `${share} is being remounted` : `${share} is away: ${data.reason}`;
}

export function isMissing({ needs }: { readonly needs: Needs }): boolean {
  return needs !== null && needs.data.kind !== "there";
}

export function unavailabilityOf({
  needs,
}: {
  readonly needs: Needs;
}): Extract<RequiredData, { kind: "away" }> | null {
  return needs?.data.kind === "away" ? needs.data : null;
}

/** The errors that a tool reports at the beginning of its answer if the server of a file system is gone. */
const CUT_OFF = /\b(EIO|ESTALE|ETIMEDOUT|EHOSTDOWN|EHOSTUNREACH|ENOTCONN)\b|input\/output error/i;
const BEGINNING = 2_000;

/** A failed tool may be the first sign of missing data. */
export function indicatesLostData(reply: Reply): boolean {
  if (isError(reply) || reply.result["isError"] !== true) return false;
  const { content } = reply.result;
  if (!Array.isArray(content)) return false;
  return content.some((part: unknown) => {
    const text = isJsonObject(part) ? part["text"] : null;
    return typeof text === "string" && CUT_OFF.test(text.slice(0, BEGINNING));
  });
}

/**
 * Adds that the share is away to a tool's error result, and to an error of a timeout or an unavailable backend. An
 * error message that already names the share stays unchanged.
 */
export function withAbsence(reply: Reply, data: Absence, when: "now" | "meanwhile"): Reply {
  const text =
    when === "now" ? unavailableText(data) : `meanwhile ${unavailableText(data).replace(" is ", " was ")}`;
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
