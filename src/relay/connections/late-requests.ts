// The requests that a client sends after its server is lost, and the answers in the server's place.
import {
  answerWithoutServer,
  commandOfFrame,
  firstMessage,
  isEnoughToJudge,
  isSafeToLose,
  SMB2_COMMAND,
} from "../smb/smb-frames.ts";

export class LateRequests {
  #bytes: Buffer | null = null;

  push(chunk: Buffer): void {
    this.#bytes = this.#bytes === null ? chunk : Buffer.concat([this.#bytes, chunk]);
  }

  /**
   * What the first request allows while the client does not know of the loss; null: it is incomplete.
   * - `end`: rclone does not notice if the connection ends at it.
   * - `wait`: it waits until rclone's pool has no dead connections. So does a read, although rclone would repeat it.
   */
  get first(): "end" | "wait" | null {
    const bytes = this.#bytes;
    if (bytes === null || !isEnoughToJudge(bytes)) return null;
    const isRead = commandOfFrame(bytes) === SMB2_COMMAND.read;
    return !isRead && isSafeToLose(bytes) === true ? "end" : "wait";
  }

  /** Takes the first request, and returns its answer. `none`: it cannot be answered; null: it is incomplete. */
  answerFirst(): Buffer | "none" | null {
    const bytes = this.#bytes;
    if (bytes === null || !isEnoughToJudge(bytes)) return null;
    const message = firstMessage(bytes);
    this.#bytes = message === null || message.following.length === 0 ? null : message.following;
    return (message === null ? null : answerWithoutServer(message.header)) ?? "none";
  }
}
