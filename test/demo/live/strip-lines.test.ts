import assert from "node:assert/strict";
import { test } from "node:test";
import { type StripState, stripLines } from "../../../src/demo/live/strip-lines.ts";
import { columns } from "../../../src/runtime/text/plain-text.ts";
import { lineText } from "../../../src/tui/terminal/line.ts";
import { sampleShare } from "../../api/sample-report.ts";
import { viewOf } from "../../tui/views.ts";

const share = sampleShare({ stable_path: "/tmp/d/Shares/CORE" });

const healthy: StripState = {
  driver: "smb",
  plugged: { tb: true, fallback: true },
  addresses: { tb: "127.0.0.2:4451", fallback: "127.0.0.3:4452" },
  stablePath: "/tmp/mountaineer-demo-aBcDeF/Shares/CORE",
  share,
  reading: { ok: true, text: "hello from the NAS, no. 0042\n", tookMs: 123.4 },
  hasServed: true,
  waitingMs: null,
  copy: null,
  openedBy: null,
  notice: null,
};

function shown(state: StripState, unicode = true): string {
  return stripLines(state, viewOf(80, { unicode })).map(lineText).join("\n");
}

test("both cables, the path, the content with its time, and the keys are there, in 60 columns", () => {
  const text = shown(healthy);
  assert.match(text, /1 {2}Preferred {2}●━{12}● {2}plugged {2}in use/);
  assert.match(text, /2 {2}Fallback {3}●━{12}● {2}plugged(?! {2}in use)/);
  assert.match(text, /^ Demo on a real SMB server: \/tmp\/mountaineer-demo-aBcDeF\/Shares\/CORE$/m);
  assert.match(text, /hello\.txt {2}"hello from the NAS, no\. 0042" {2}read in 123 ms$/m);
  assert.match(text, / 1 {2}2 pull, plug {2}3 open report\.txt {2}4 move$/);
  const keys =
    shown({ ...healthy, openedBy: 1_234_567 })
      .split("\n")
      .at(-1) ?? "";
  assert.match(keys, / 3 close report\.txt \(tail 1234567\) {2}4 move$/);
  assert.ok(columns(keys) <= 60);
  const folders = shown({ ...healthy, driver: "local", hasServed: false, reading: null });
  assert.match(folders, /^ Demo on plain folders: [\s\S]*its share is being mounted …$/);
  assert.doesNotMatch(folders, /hello|pull, plug|move|remount/);
});

test("A10 the copy is shown as it proceeds, waits or fails, with the next step", () => {
  const copy = { progress: 0.42, waitingMs: null, complaint: null };
  const going = shown({ ...healthy, copy });
  assert.match(going, /a copy {5}█{6}░{10} 42 %, no error, goes on$/m);
  assert.match(going, /press 1 to pull the preferred cable: the copy continues$/m);
  assert.match(shown({ ...healthy, copy: { ...copy, waitingMs: 1240 } }), /no error, waits 1\.2 s$/m);
  const pulled = shown({ ...healthy, copy, plugged: { tb: false, fallback: true } });
  assert.match(pulled, /Preferred {2}●━{4}╸ {2}╺━{4}● {2}PULLED/);
  assert.match(pulled, /the copy continues over Fallback; 1 plugs it in again$/m);
  assert.match(
    shown({ ...healthy, copy: { ...copy, complaint: "dd: I/O error" } }),
    /a copy {5}✗ dd: I\/O error$/m,
  );
});

test("the result of a key is shown, and so is a file that cannot be read", () => {
  const notice = { text: "readable again 93 ms after the cut", tone: "good" } as const;
  assert.match(shown({ ...healthy, notice }), /readable again 93 ms after the cut/);
  assert.match(shown({ ...healthy, waitingMs: 1234 }), /no answer for 1\.2 s/);
  const reading = { ok: false, why: "Input/output error", tookMs: 1 } as const;
  assert.match(shown({ ...healthy, reading }), /✗ Input\/output error/);
});

test("it is seven lines at most, and without UTF-8 only ASCII", () => {
  const state: StripState = {
    ...healthy,
    plugged: { tb: false, fallback: true },
    copy: { progress: 1, waitingMs: null, complaint: null },
    notice: { text: "長い\x1b[2J", tone: "bad" },
  };
  assert.equal(stripLines(state, viewOf(60)).length, 7);
  assert.ok(!shown(state).includes("\x1b"));
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the whole of ASCII.
  assert.match(shown({ ...state, notice: null }, false), /^[\x00-\x7f]*$/);
});
