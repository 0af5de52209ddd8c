// While no daemon comes, the client is still answered, with refusals.
import type { Writable } from "node:stream";
import type { InboxTaker } from "./client-inbox.ts";

interface AbsenceParts {
  readonly session: { refuseWaiting(): void };
  /** What is cut off is refused, too. */
  readonly passage: { push(chunk: Buffer): void; end(): void; cut(): boolean };
  readonly inbox: { handTo(taker: InboxTaker): void; more(): void };
  /** The client's output: while it does not read, its input is not read either. */
  readonly output: Writable;
  readonly leave: () => void;
}

export function createAbsence({ session, passage, inbox, output, leave }: AbsenceParts) {
  let isNow = false;
  return {
    get isNow() {
      return isNow;
    },
    begin(): void {
      isNow = true;
      session.refuseWaiting();
      let isFull = false;
      const onRoom = (): void => {
        isFull = false;
        inbox.more();
      };
      const push = (chunk: Buffer): boolean => {
        passage.push(chunk);
        if (output.writableNeedDrain && !isFull) {
          isFull = true;
          output.once("drain", onRoom);
        }
        return !output.writableNeedDrain;
      };
      const end = (): void => {
        // The last line may lack its newline, and is answered all the same.
        passage.end();
        leave();
      };
      inbox.handTo({ push, end });
    },
    end(): void {
      // The beginning of the line was refused already.
      if (isNow) passage.cut();
      isNow = false;
    },
  };
}
