// What a client has sent and its server has not got yet, and which of these frames wait for a move.
import { commandOfFrame, type FrameReader, isHarmlessToLose, SMB2_COMMAND } from "../smb/smb-frames.ts";

/**
 * Which new frames wait: reads and writes (`some`), any (`all`), those whose loss nobody notices (`retire`), or those
 * that log in (`logon`), until the first frame after the login.
 */
type Holding = "nothing" | "some" | "all" | "retire" | "logon";

const NOTHING = Buffer.alloc(0);

export class HeldFrames {
  holding: Holding = "logon";
  /** Whether one that logs in may pass now. */
  readonly #mayLogOn: () => boolean;
  /** While the connection retires: a read ends it, too. */
  readsEnd = false;
  #bytes: Buffer = NOTHING;
  #isWaiting = false;
  #waitsMore = false;

  constructor(mayLogOn: () => boolean) {
    this.#mayLogOn = mayLogOn;
  }

  get bytes(): Buffer {
    return this.#bytes;
  }

  /** Whether a frame waits; everything after it waits, too. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** Whether the sender of the waiting frame may notice its loss. */
  get waitsMore(): boolean {
    return this.#waitsMore;
  }

  push(chunk: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
  }

  /** Returns all that is kept, and keeps nothing. */
  take(): Buffer {
    const bytes = this.#bytes;
    this.#bytes = NOTHING;
    return bytes;
  }

  /**
   * Gives `send` what may pass, read by `reader`, up to the first frame that has to wait. Returns whether one waits
   * now.
   */
  pass(reader: FrameReader, send: (bytes: Buffer) => void): boolean {
    while (this.#bytes.length > 0) {
      if (reader.atBoundary && !reader.broken) {
        const verdict = this.#judge(this.#bytes);
        if (verdict === "unknown") return false;
        if (verdict !== "pass") {
          this.#isWaiting = true;
          this.#waitsMore = verdict === "wait_more";
          return true;
        }
      }
      const passed = reader.push(this.#bytes, 0, true);
      send(this.#bytes.subarray(0, passed));
      this.#bytes = this.#bytes.subarray(passed);
    }
    return false;
  }

  /** Nothing waits from now on. */
  letGo(): void {
    this.holding = "nothing";
    this.readsEnd = false;
    this.#isWaiting = false;
  }

  /** Decides again about the frame that waits. */
  goOn(): void {
    this.#isWaiting = false;
  }

  /** What to do with the frame that `bytes` begins with; `unknown`: too few bytes. */
  #judge(bytes: Buffer): "unknown" | "pass" | "wait" | "wait_more" {
    if (this.holding === "nothing") return "pass";
    const command = commandOfFrame(bytes);
    if (this.holding === "logon") {
      if (command === undefined) return "unknown";
      if (command === SMB2_COMMAND.sessionSetup) return this.#mayLogOn() ? "pass" : "wait";
      // A client of SMB 1 asks which version to speak.
      if (command !== null && command !== SMB2_COMMAND.negotiate) this.holding = "nothing";
      return "pass";
    }
    if (this.holding === "retire") {
      const isHarmless = isHarmlessToLose(bytes);
      if (isHarmless === undefined) return "unknown";
      return isHarmless && (this.readsEnd || command !== SMB2_COMMAND.read) ? "wait" : "pass";
    }
    if (command === undefined) return "unknown";
    if (command === SMB2_COMMAND.read || command === SMB2_COMMAND.write) return "wait";
    return this.holding === "all" ? "wait_more" : "pass";
  }
}
