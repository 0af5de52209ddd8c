import assert from "node:assert/strict";
import { test } from "node:test";
import type { ApprovalsReport } from "../../../src/api/approval-contract.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { startApproveSession } from "../../../src/tui/approve/approve-session.ts";
import type { Key } from "../../../src/tui/terminal/key.ts";
import { eventually } from "../../support/eventually.ts";

const LONG = Array.from({ length: 60 }, (_, line) => `"${line}",\n`).join("");
const WAITING: ApprovalsReport = {
  mode: "commands",
  asked: null,
  lost: null,
  waiting: [
    {
      id: "backends.files",
      name: "files",
      kind: "runs",
      summary: "would run files",
      approved: "args = []\n",
      waiting: `args = [\n${LONG}]\n`,
      digest: "d",
    },
  ],
};
const DOWN: Key = { kind: "named", name: "down" };
const Y: Key = { kind: "character", text: "y" };
const ENTER: Key = { kind: "named", name: "enter" };

function opened(approve: () => Promise<never>) {
  const stop = new AbortController();
  let changed = (): void => {};
  let isWatched = false;
  const session = startApproveSession(
    { approvals: async () => WAITING, approve },
    {
      subscribe(callback) {
        changed = callback;
        isWatched = true;
        return () => {
          isWatched = false;
        };
      },
    },
    stop.signal,
  );
  changed();
  const shown = eventually(() => session.state.get().report);
  return { session, shown, stop, isWatched: () => isWatched };
}

test("E2 a drawing at the same size leaves the difference where it was scrolled to, another size shows its begin", async () => {
  const { session, shown } = opened(() => Promise.reject(new Error("not asked")));
  await shown;
  session.sized(80, 10);
  session.onKey(DOWN);
  session.onKey(DOWN);
  assert.equal(session.state.get().top, 2);
  session.sized(80, 10);
  assert.equal(session.state.get().top, 2);
  session.sized(80, 11);
  assert.equal(session.state.get().top, 0);
  session.onKey(DOWN);
  session.sized(81, 11);
  assert.equal(session.state.get().top, 0);
});

test("E2 why something could not be approved is said, and may be tried again", async () => {
  const { session, shown, stop, isWatched } = opened(() =>
    Promise.reject(new MountaineerError("daemon_unreachable", "the daemon does not answer\nat all")),
  );
  await shown;
  session.sized(80, 100);
  assert.equal(await session.approved(), null, "nothing was");
  session.onKey(Y);
  session.onKey(ENTER);
  assert.match((await session.approved()) ?? "", /^[^\n]*the daemon does not answer$/);
  const { note, isBusy } = session.state.get();
  assert.deepEqual([note?.kind, isBusy], ["failed", false]);
  stop.abort();
  assert.equal(isWatched(), false);
});
