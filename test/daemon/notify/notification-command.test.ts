import assert from "node:assert/strict";
import test from "node:test";
import {
  desktopNotifier,
  linuxNotifier,
  macosNotifier,
} from "../../../src/daemon/notify/notification-command.ts";

const HOSTILE = { title: "--help $(id) `id`", body: '-e "do shell script" \\n <b>&amp;</b>' };

test("on Linux texts are arguments behind the options, and the body shows as it is written", () => {
  assert.deepEqual(linuxNotifier.input(HOSTILE), {
    args: [
      "--app-name=Mountaineer",
      "--",
      HOSTILE.title,
      '-e "do shell script" \\\\n &lt;b&gt;&amp;amp;&lt;/b&gt;',
    ],
    stdin: "",
  });
});

test("on macOS the script is always the same, and texts are its arguments", () => {
  const plain = macosNotifier.input({ title: "a", body: "b" });
  const hostile = macosNotifier.input(HOSTILE);
  assert.deepEqual(hostile.args, ["-", HOSTILE.title, HOSTILE.body]);
  assert.equal(hostile.stdin, plain.stdin);
  assert.equal(
    plain.stdin,
    "on run argv\ndisplay notification (item 2 of argv) with title (item 1 of argv)\nend run\n",
  );
});

test("the system's own way is taken", () => {
  assert.equal(desktopNotifier, process.platform === "darwin" ? macosNotifier : linuxNotifier);
});
