import assert from "node:assert/strict";
import { test } from "node:test";
import type { ApprovalsReport, WaitingEntryWire } from "../../../src/api/contract/approvals.ts";
import type { QuestionReport } from "../../../src/api/contract/questions.ts";
import { callerOf } from "../../../src/api/operations/operations.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { approveLines } from "../../../src/tui/approve/approve-screen.ts";
import { startApproveSession } from "../../../src/tui/approve/approve-session.ts";
import {
  type ApproveState,
  EMPTY_APPROVE,
  pressApproveKey,
  withApprovals,
} from "../../../src/tui/approve/approve-state.ts";
import type { Key, KeyName } from "../../../src/tui/terminal/key.ts";
import { createScroller, linesBelow } from "../../../src/tui/terminal/scroller.ts";
import { eventually } from "../../support/eventually.ts";
import { textOf, viewOf } from "../views.ts";

const entry = (name: string, over: Partial<WaitingEntryWire> = {}): WaitingEntryWire => ({
  id: `backends.${name}`,
  name,
  kind: "runs",
  summary: `would run ${name}`,
  approved: `command = "old"\nargs = ["${name}"]\n`,
  waiting: `command = "new"\nargs = ["${name}"]\n`,
  digest: name,
  ...over,
});
const report = (...waiting: WaitingEntryWire[]): ApprovalsReport => ({
  mode: "commands",
  asked: null,
  lost: null,
  waiting,
});
const named = (name: KeyName): Key => ({ kind: "named", name });
const typed = (text: string): Key => ({ kind: "character", text });

function opened(waiting: ApprovalsReport, height = 20, width = 80): ApproveState {
  return withApprovals({ ...EMPTY_APPROVE, text: createScroller("", { width, height }) }, waiting);
}

/** The state after those keys, and what was to be approved. */
function press(from: ApproveState, ...keys: readonly Key[]): [ApproveState, (string | undefined)[]] {
  const approved: (string | undefined)[] = [];
  let state = from;
  for (const key of keys) {
    const step = pressApproveKey(state, key);
    state = step.state;
    if (step.action !== null) approved.push(step.action.digest);
  }
  return [state, approved];
}

test("E2 y asks about the shown entry, and only Enter right after it approves", () => {
  const state = opened(report(entry("one"), entry("two")));
  assert.deepEqual(press(state, typed("y"), named("enter"))[1], ["one"]);
  assert.deepEqual(press(state, named("tab"), typed("y"), named("enter"))[1], ["two"]);
  assert.deepEqual(press(state, named("backtab"), typed("y"), named("enter"))[1], ["two"]);
  for (const wrong of [named("escape"), typed("n"), typed("y")])
    assert.deepEqual(press(state, typed("y"), wrong, named("enter"))[1], []);
  assert.deepEqual(press(state, named("enter"))[1], []);
  const [asked, none] = press(state, typed("y"), named("tab"));
  assert.deepEqual([asked.questionDigest, none], ["one", []], "what is asked about stays in sight");
  assert.deepEqual(press({ ...state, isBusy: true }, typed("y"), named("enter"))[1], []);
  assert.equal(pressApproveKey(opened(report()), typed("y")).used, false);
});

test("E2 an entry that changes under the question withdraws the question", () => {
  const [asked] = press(opened(report(entry("one"))), typed("y"));
  const other = withApprovals(asked, report(entry("one", { digest: "another" })));
  assert.equal(other.questionDigest, null);
  assert.deepEqual(press(other, named("enter"))[1], []);
  assert.equal(withApprovals(asked, report(entry("one"))).questionDigest, "one");
  assert.equal(withApprovals(asked, report(entry("two"))).questionDigest, null);
});

test("E2 no one approves an entry that was not shown to its end, however long a line is", () => {
  const args = Array.from({ length: 30 }, (_, index) => `"${index}"`).join("\n");
  const long = entry("long", { waiting: `command = "${"x".repeat(300)}-the-end"\n${args}\n` });
  let state = opened(report(long), 5, 40);
  const { lines } = state.text;
  assert.ok(lines.every((line) => line.length <= 40));
  assert.ok(lines.join("").replaceAll("+ ", "").includes("x-the-end"));
  const seen = new Set<string>();
  let pages = 0;
  while (linesBelow(state.text) > 0) {
    for (const line of lines.slice(state.text.top, state.text.top + 5)) seen.add(line);
    const [next, approved] = press(state, typed("y"));
    assert.deepEqual([next.questionDigest, approved], [null, []]);
    assert.ok(next.text.top > state.text.top);
    state = next;
    pages += 1;
  }
  for (const line of lines.slice(state.text.top, state.text.top + 5)) seen.add(line);
  assert.ok(pages > 3);
  assert.deepEqual(seen, new Set(lines));
  assert.deepEqual(press(state, typed("y"), named("enter"))[1], ["long"]);
  assert.equal(press(state, named("home"))[0].text.top, 0);
  assert.equal(
    press(opened(report(long), 5, 40), named("end"), named("down"), named("down"))[0].text.top,
    state.text.top,
  );
});

test("E2 the screen shows the pending command, next to the running one, and no terminal control characters", () => {
  const evil = entry("evil", { waiting: 'command = "sh"\nargs = ["\u001b[2Jhidden\u202e"]\n' });
  const state = opened(report(evil, entry("two")));
  const view = viewOf(80);
  const text = textOf(approveLines(state, view)).join("\n");
  assert.match(text, /▲ 1 of 2: backends\.evil: would run evil/);
  assert.equal(state.text.lines[0], "@@ -1,2 +1,2 @@", "without the names of files");
  assert.match(text, /^-command = "old"$/m);
  assert.match(text, /^\+command = "sh"$/m);
  assert.ok(!text.includes("\u001b") && !text.includes("\u202e"));
  assert.match(
    textOf(approveLines(press(state, typed("y"))[0], view)).join("\n"),
    /Approve backends\.evil\?/,
  );
  assert.match(textOf(approveLines(opened(report()), view)).join("\n"), /✓ nothing waits for approval/);
});

test("E2 the number of hidden lines of the difference is shown, while there are some", () => {
  const lines = report(entry("one", { waiting: "a = 1\nb = 2\nc = 3\n" }));
  const all = opened(lines).text.lines.length;
  const foot = (height: number) => textOf(approveLines(opened(lines, height), viewOf(80))).at(-1);
  assert.equal(foot(all - 2), "2 more lines");
  assert.equal(foot(all), "");
});

test("E2 a line as long as the file may be is shown whole, and does not stop the screen", () => {
  const long = Array.from({ length: 40_000 }, (_, index) => `word-${index}`).join(" ");
  const state = opened(report(entry("long", { waiting: `command = "${long}"\n` })), 20, 80);
  const lines = state.text.lines.filter((line) => line.startsWith("+"));
  assert.ok(lines.every((line) => line.length <= 80));
  assert.equal([lines[0], ...lines.slice(1).map((line) => line.slice(2))].join(""), `+command = "${long}"`);
});

const LONG = Array.from({ length: 60 }, (_, line) => `"${line}",\n`).join("");
const WAITING = report(entry("files", { approved: "args = []\n", waiting: `args = [\n${LONG}]\n` }));
const DOWN = named("down");

function startedWith(approve: () => Promise<never>, questions: QuestionReport[] = []) {
  const stop = new AbortController();
  let changed = (): void => {};
  let isWatched = false;
  let looks = 0;
  const answers: string[] = [];
  const approvals = () => {
    looks += 1;
    return WAITING;
  };
  const session = startApproveSession(
    callerOf({
      ...{ approvals, approve, questions: () => ({ questions }) },
      answer(answered) {
        answers.push(JSON.stringify(answered));
        questions.length = 0;
        return { effect: "denied", detail: "" };
      },
    }),
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
  return { session, shown, stop, isWatched: () => isWatched, looks: () => looks, answers };
}

test("E2 a redraw at the same size leaves the difference scrolled where it was, another size shows its beginning", async () => {
  const { session, shown } = startedWith(() => Promise.reject(new Error("not asked")));
  await shown;
  session.sized(80, 10);
  session.onKey(DOWN);
  session.onKey(DOWN);
  assert.equal(session.state.get().text.top, 2);
  session.sized(80, 10);
  assert.equal(session.state.get().text.top, 2);
  session.sized(80, 11);
  assert.equal(session.state.get().text.top, 0);
  session.onKey(DOWN);
  session.sized(81, 11);
  assert.equal(session.state.get().text.top, 0);
});

test("E2 the reason of a failed approval is shown, and it may be tried again", async () => {
  const { session, shown, stop, isWatched, looks } = startedWith(() =>
    Promise.reject(new MountaineerError("daemon_unreachable", "the daemon does not answer\nat all")),
  );
  await shown;
  session.sized(80, 100);
  assert.equal(await session.approved(), null, "nothing was");
  session.onKey(typed("y"));
  session.onKey(named("enter"));
  assert.match((await session.approved()) ?? "", /^[^\n]*the daemon does not answer$/);
  const { notice, isBusy } = session.state.get();
  assert.deepEqual([notice?.kind, isBusy], ["failed", false]);
  await eventually(() => looks() === 2);
  stop.abort();
  assert.equal(isWatched(), false);
});

test("E6 a call that waits for the owner comes first, whole; y and Enter allow it once its end was shown, n denies it", async () => {
  const lines = Array.from({ length: 30 }, (_, at) => `"a${at}": ${at}`);
  const question = {
    code: "7K4-9QX",
    tool: "wipe",
    server: "files",
    opened: "2026-11-20T12:00:00.000Z",
    lines,
  };
  for (const keys of [[typed("n")], [typed("y"), typed("y"), typed("y"), typed("y"), named("enter")]]) {
    const { session, shown, answers } = startedWith(() => Promise.reject(new Error("unused")), [question]);
    await shown;
    session.sized(80, 10);
    const text = textOf(approveLines(session.state.get(), viewOf(80))).join("\n");
    assert.match(text, /1 of 2: 7K4-9QX: wipe of files\n"a0": 0\n/);
    for (const key of keys) session.onKey(key);
    const allow = keys.length > 1;
    await eventually(() => answers.length === 1);
    assert.deepEqual(answers, [JSON.stringify({ code: question.code, allow, from: "tui" })]);
    await eventually(() => session.state.get().report?.waiting.length === 1);
  }
});
