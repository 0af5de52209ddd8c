import assert from "node:assert/strict";
import { test } from "node:test";
import type { StepResult } from "../../../src/api/contract.ts";
import { exitCodeOf, renderResults, renderVerify } from "../../../src/cli/views/results-view.ts";
import { sampleResult } from "../../api/sample-report.ts";
import { assertHarmless, HOSTILE, PLAIN } from "./looks.ts";

test("a line for each share, with holders, unsent files and a hint below", () => {
  const results: StepResult[] = [
    sampleResult(),
    sampleResult({
      share: "MEDIA",
      result: "busy",
      detail: "2 files are open",
      hint: "close them, or add --force",
      holders: [
        { pid: 812, command: "vim", path: "/home/ada/Shares/MEDIA/notes.txt" },
        { pid: 900, command: "Final Cut", path: "/home/ada/Shares/MEDIA/cut.mov" },
      ],
      unsent: ["draft.txt"],
    }),
    sampleResult({ share: "OLD", result: "failed", detail: "wrong password for ada" }),
    sampleResult({ share: "X", result: "skipped", detail: "" }),
  ];
  assert.equal(
    renderResults(results, PLAIN),
    `✓ CORE   mounted over Thunderbolt (//10.0.0.2/CORE)
▲ MEDIA  busy: 2 files are open
    vim (pid 812)  /home/ada/Shares/MEDIA/notes.txt
    Final Cut (pid 900)  /home/ada/Shares/MEDIA/cut.mov
    not sent yet  draft.txt
    hint: close them, or add --force
✗ OLD    failed: wrong password for ada
– X      skipped
`,
  );
  assert.equal(renderResults([], PLAIN), "");
});

test("of many holders the first are named and the rest counted", () => {
  const holders = Array.from({ length: 20 }, (_, index) => ({
    pid: index,
    command: "cat",
    path: `/f${index}`,
  }));
  const text = renderResults([sampleResult({ result: "busy", holders })], PLAIN);
  assert.equal(text.split("\n").length, 1 + 8 + 1 + 1);
  assert.match(text, /\+12 more/);
});

test("hostile names of shares, commands and files do not reach the terminal", () => {
  const holders = [{ pid: 1, command: HOSTILE, path: HOSTILE }];
  const hostile = { share: HOSTILE, detail: HOSTILE, hint: HOSTILE, holders, unsent: [HOSTILE] };
  const text = renderResults([sampleResult(hostile)], PLAIN);
  assertHarmless(text);
  assert.equal(text.split("\n").length, 5);
});

test("pin: the worst share decides the exit code: failed 1, busy 7, else 0", () => {
  const of = (...results: StepResult["result"][]) => results.map((result) => sampleResult({ result }));
  assert.equal(exitCodeOf([], "mount"), 0);
  assert.equal(exitCodeOf(of("mounted", "skipped", "unmounted", "switched"), "mount"), 0);
  assert.equal(exitCodeOf(of("mounted", "busy"), "mount"), 7);
  assert.equal(exitCodeOf(of("busy", "failed", "mounted"), "mount"), 1);
  assert.equal(exitCodeOf(of("pending"), "switch"), 7);
  assert.equal(exitCodeOf(of("pending"), "unmount"), 7);
  assert.equal(exitCodeOf(of("pending"), "reconcile"), 0);
  assert.equal(exitCodeOf(of("pending", "busy"), "reconcile"), 7);
});

test("verify names what is wrong, or says that nothing is", () => {
  assert.equal(renderVerify({ ok: true, findings: [] }, PLAIN), "✓ everything is as it should be\n");
  const looked = (shares: number, backends: number): string =>
    renderVerify({ ok: true, findings: [], looked_at: { shares, backends } }, PLAIN);
  assert.equal(looked(1, 12), "✓ 1 share, 12 backends: everything is as it should be\n");
  assert.equal(looked(0, 2), "✓ 2 backends: everything is as it should be\n");
  assert.equal(
    looked(0, 0),
    "i there is no share and no backend that is enabled, so nothing was looked at\n",
  );
  const findings = [
    { share: "CORE", severity: "error", code: "mount_dead", text: "the mount does not answer", hint: null },
    {
      share: null,
      severity: "warning",
      code: "polling",
      text: "the network is polled",
      hint: "load the module",
    },
  ] as const;
  assert.equal(
    renderVerify({ ok: false, findings: [...findings] }, PLAIN),
    "✗ CORE  the mount does not answer\n▲       the network is polled\n    hint: load the module\n",
  );
  assert.equal(
    renderVerify({ ok: true, findings: findings.slice(1) }, PLAIN),
    "▲ the network is polled\n    hint: load the module\n",
    "no word of all being well above what is not",
  );
});
