// A transport that opens once something else has been looked up.
import { errorText } from "../../../runtime/errors.ts";
import {
  type BackendTransport,
  closedTransport,
  type OpenTransport,
  type TransportFailure,
  transportFailure,
} from "./backend-transport.ts";

/** Messages wait until `prepare` has resolved. A rejection is a failure to connect. */
export function openPrepared(prepare: () => Promise<OpenTransport | TransportFailure>): OpenTransport {
  return (events) => {
    let inner: BackendTransport | null = null;
    let isClosed = false;
    const waiting: Parameters<BackendTransport["send"]>[] = [];
    const failed = (error: unknown): TransportFailure => transportFailure("unreachable", errorText(error));
    const opened = prepare()
      .catch(failed)
      .then((open) => {
        if (isClosed) return;
        inner = typeof open === "function" ? open(events) : closedTransport(open, events);
        for (const message of waiting) inner.send(...message);
      });
    return {
      get pid() {
        return inner?.pid ?? null;
      },
      get backlogBytes() {
        return inner?.backlogBytes ?? 0;
      },
      send: (...message) => (inner === null ? void waiting.push(message) : inner.send(...message)),
      established: (version) => inner?.established(version),
      async close() {
        isClosed = true;
        await opened;
        await inner?.close();
      },
    };
  };
}
