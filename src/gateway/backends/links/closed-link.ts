// A link that could not be opened: it reports why, once, and does nothing else.
import type { BackendLink, LinkEvents, LinkFailure } from "./backend-link.ts";

/** Calls `onClosed` back after this turn, unless it is closed first. */
export function closedLink(failure: LinkFailure, events: LinkEvents): BackendLink {
  let closed = false;
  setImmediate(() => {
    if (!closed) events.onClosed(failure);
    closed = true;
  });
  return {
    pid: null,
    backlogBytes: 0,
    send() {},
    established() {},
    close() {
      closed = true;
      return Promise.resolve();
    },
  };
}
