// The client's frames that were not sent to the server yet. Decides which of them have to wait.
import { commandOfFrame, type FrameReader, isSafeToLose, SMB2_COMMAND } from "../smb/smb-frames.ts";

/**
 * Which new frames wait.
 * - `some`: reads and writes.
 * - `all`: any frame.
 * - `retire`: frames whose loss goes unnoticed.
 * - `logon`: logins that are not allowed yet. The first other request after the negotiation ends this state.
 */
type BufferMode = "nothing" | "some" | "all" | "retire" | "login";

const NOTHING = Buffer.alloc(0);

export class BufferedFrames {
  mode: BufferMode = "login";
  readonly #requestLogin: () => boolean;
  readonly #mayEndAtRead: () => boolean;
  /** True: reads also wait. This flag has an effect only while `mode` is `retire`. */
  readsEnd = false;
  bytes: Buffer = NOTHING;
  /** True while a frame waits, with all bytes behind it. The owner resets it before it calls `pass` again. */
  isWaiting = false;
  /** True if the waiting frame is neither a read nor a write, so that the client may notice its loss. */
  waitsMore = false;

  /** `mayEndAtRead`: asked for each read while `readsEnd` is set. */
  constructor(requestLogin: () => boolean, mayEndAtRead: () => boolean) {
    this.#requestLogin = requestLogin;
    this.#mayEndAtRead = mayEndAtRead;
  }

  push(chunk: Buffer): void {
    this.bytes = this.bytes.length === 0 ? chunk : Buffer.concat([this.bytes, chunk]);
  }

  take(): Buffer {
    const bytes = this.bytes;
    this.bytes = NOTHING;
    return bytes;
  }

  /** Passes bytes through `reader` to `send`, up to the first frame that has to wait. Returns whether a frame waits. */
  pass(reader: FrameReader, send: (bytes: Buffer) => void): boolean {
    while (this.bytes.length > 0) {
      if (reader.atBoundary && !reader.broken) {
        const verdict = this.#judge(this.bytes);
        if (verdict === "unknown") return false;
        if (verdict !== "pass") {
          this.isWaiting = true;
          this.waitsMore = verdict === "wait_more";
          return true;
        }
      }
      const passed = reader.push(this.bytes, 0, true);
      send(this.bytes.subarray(0, passed));
      this.bytes = this.bytes.subarray(passed);
    }
    return false;
  }

  reset(): void {
    this.mode = "nothing";
    this.readsEnd = false;
    this.isWaiting = false;
  }

  /** Decides about the frame at the start of `bytes`; `unknown`: too few bytes. */
  #judge(bytes: Buffer): "unknown" | "pass" | "wait" | "wait_more" {
    if (this.mode === "nothing") return "pass";
    const command = commandOfFrame(bytes);
    if (this.mode === "login") {
      if (command === undefined) return "unknown";
      if (command === SMB2_COMMAND.sessionSetup) return this.#requestLogin() ? "pass" : "wait";
      // The command is null for a frame of SMB 1, with which a client may begin to negotiate.
      if (command !== null && command !== SMB2_COMMAND.negotiate) this.mode = "nothing";
      return "pass";
    }
    if (this.mode === "retire") {
      const isSafe = isSafeToLose(bytes);
      if (isSafe === undefined) return "unknown";
      const isRead = command === SMB2_COMMAND.read;
      return isSafe && (!isRead || (this.readsEnd && this.#mayEndAtRead())) ? "wait" : "pass";
    }
    if (command === undefined) return "unknown";
    if (command === SMB2_COMMAND.read || command === SMB2_COMMAND.write) return "wait";
    return this.mode === "all" ? "wait_more" : "pass";
  }
}
