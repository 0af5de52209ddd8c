// The messages between the daemon's thread and a script's thread: plain texts and numbers, no objects of either side.

/** Limits of one script, and of what enters and leaves the sandbox. */
export const BOUNDS = {
  sourceCharacters: 256 * 1024,
  memoryBytes: 64 * 1024 * 1024,
  /** A thread is not reused after a script that used more. */
  keptBytes: 16 * 1024 * 1024,
  stackBytes: 256 * 1024,
  nameCharacters: 1024,
  argumentsCharacters: 1024 * 1024,
  /** Of all unanswered calls together. */
  allArgumentsCharacters: 16 * 1024 * 1024,
  /** Of one tool's result, as JSON. */
  resultBytes: 8 * 1024 * 1024,
  /** Of all images that a script returns. */
  imageCharacters: 4 * 1024 * 1024,
  returnedCharacters: 1024 * 1024,
  calls: 10_000,
  callsWaiting: 1_000,
  /** Calls that run, or whose results the thread has not taken yet; others wait. */
  callsAtOnce: 32,
  /** Of what the script logs, at its beginning and at its end. */
  logCharacters: 8 * 1024,
  errorCharacters: 4 * 1024,
} as const;

/** What a new thread gets as its `workerData`. */
export interface ThreadData {
  readonly wasm: WebAssembly.Module;
}

export type ToThread =
  /** `log`: of a `SharedLog`, which only this script uses. */
  | { readonly kind: "run"; readonly source: string; readonly log: SharedArrayBuffer }
  /** `json`: the tool's result, as its server gave it. */
  | { readonly kind: "result"; readonly call: number; readonly json: string }
  | { readonly kind: "refused"; readonly call: number; readonly text: string };

export type FromThread =
  | { readonly kind: "ready" }
  /** Sent once a message has been handled: the thread waits for the next one. */
  | { readonly kind: "idle" }
  | { readonly kind: "call"; readonly call: number; readonly name: string; readonly argumentsJson: string }
  /** `isLarge`: the script used so much memory that its thread is not reused. */
  | ({ readonly kind: "ended"; readonly isLarge: boolean } & ScriptEnd);

export type ScriptEnd =
  /** `json`: the returned value; "": none. `blocks`: the images in it, as JSON of a list of content blocks; null: none. */
  | { readonly outcome: "returned"; readonly json: string; readonly blocks: string | null }
  | { readonly outcome: "failed"; readonly text: string };
