// The answers of one batch on a stream: together, as one message, once all are there.
import { type CallOutlet, responseJson } from "./outlet.ts";

/** `answers`: how many there will be. `write` gets them as JSON, unless all were cancelled. */
export function createBatchOutlet(
  outlet: CallOutlet,
  answers: number,
  write: (json: string | null) => void,
): CallOutlet {
  const written: string[] = [];
  let waiting = answers;
  return {
    get congested() {
      return outlet.congested;
    },
    send: (json) => outlet.send(json),
    answer(id, reply) {
      if (reply !== null) written.push(responseJson(id, reply));
      waiting -= 1;
      if (waiting === 0) write(written.length > 0 ? `[${written.join(",")}]` : null);
    },
  };
}
