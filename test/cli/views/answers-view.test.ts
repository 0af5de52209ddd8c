// The views of what commands are answered: calls, results, places.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AliasStatus, StepResult } from "../../../src/api/contract/contract.ts";
import { renderSelfTest } from "../../../src/cli/sessions/doctor-command.ts";
import { renderAliases, renderShares } from "../../../src/cli/views/place-view.ts";
import { exitCodeOf, renderResults, renderVerify } from "../../../src/cli/views/results-view.ts";
import { answerJson, answerText, callFailure } from "../../../src/cli/views/tools-view.ts";
import { sampleAlias, sampleResult, sampleShare } from "../../api/sample-report.ts";
import { assertHarmless, HOSTILE, PLAIN } from "../../api/views/looks.ts";
import { fc } from "../../support/properties.ts";

const piped = { isTerminal: false };
const of = (result: Record<string, unknown> | null) => ({ result, error: null });
const content = (...blocks: unknown[]) => of({ content: blocks });

test("text is printed unchanged, with a line break at its end", () => {
  assert.equal(
    answerText(content({ type: "text", text: "one\r\n\ttwo\x1b[1m" }), piped),
    "one\r\n\ttwo\x1b[1m\n",
  );
  assert.equal(
    answerText(content({ type: "text", text: "a\n" }, { type: "text", text: "b" }), piped),
    "a\nb\n",
  );
  assert.equal(answerText(content(), piped), "");
  assert.equal(answerText(of({}), piped), "");
});

test("E3 invisible characters are spelled out wherever they are printed, and unchanged in the JSON", () => {
  const sly = content({ type: "text", text: "safe\u202egnp.exe\u{e0041}" });
  for (const isTerminal of [true, false])
    assert.equal(answerText(sly, { isTerminal }), "safe\\u{202e}gnp.exe\\u{e0041}\n");
  const json = answerJson(sly.result);
  assert.doesNotMatch(json, /[\u202e\u{e0041}]/u);
  assert.deepEqual(JSON.parse(json), sly.result);
});

test("on a terminal control characters are spelled out, tabs and lines kept", () => {
  assert.equal(
    answerText(content({ type: "text", text: "a\tb\n\x1b]0;x\x07" }), { isTerminal: true }),
    "a\tb\n\\x1b]0;x\\x07\n",
  );
});

test("content that is not text is described in a line", () => {
  const cases: [unknown, string][] = [
    [{ type: "image", mimeType: "image/png", data: "A".repeat(16_400) }, "[image, image/png, 12.3 kB]\n"],
    [{ type: "audio", mimeType: "audio/wav", data: "QUI=" }, "[audio, audio/wav, 2 B]\n"],
    [{ type: "image", data: "A".repeat(8_000_000) }, "[image, 6.0 MB]\n"],
    [{ type: "image", mimeType: "image/png" }, "[image, image/png]\n"],
    [{ type: "resource_link", uri: "file:///a", name: "a" }, "[link, file:///a, a]\n"],
    [{ type: "resource_link", uri: "file:///a", name: "a", title: "The A" }, "[link, file:///a, The A]\n"],
    [{ type: "resource", resource: { uri: "x:1", text: "inside" } }, "inside\n"],
    [
      { type: "resource", resource: { uri: "x:1", mimeType: "application/pdf", blob: "QUJD" } },
      "[resource, x:1, application/pdf, 3 B]\n",
    ],
    [{ type: "resource" }, "[resource]\n"],
    [{ type: "hologram", depth: 3 }, "[hologram]\n"],
    [7, "[not valid content]\n"],
  ];
  for (const [block, expected] of cases) assert.equal(answerText(content(block), piped), expected);
});

test("structured content is printed as JSON only without text; otherwise it is left to --json", () => {
  const structuredContent = { sum: 3 };
  assert.equal(answerText(of({ structuredContent }), piped), '{\n  "sum": 3\n}\n');
  assert.equal(answerText(of({ content: [], structuredContent }), piped), '{\n  "sum": 3\n}\n');
  assert.equal(answerText(of({ content: [{ type: "text", text: "3" }], structuredContent }), piped), "3\n");
});

test("a failure is the tool's own text, or the error's", () => {
  assert.equal(callFailure(content({ type: "text", text: "fine" })), null);
  assert.equal(callFailure(of({ isError: false })), null);
  assert.equal(
    callFailure(
      of({
        isError: true,
        content: [
          { type: "text", text: "no such file" },
          { type: "text", text: "at all" },
        ],
      }),
    ),
    "no such file\nat all",
  );
  assert.equal(callFailure(of({ isError: true })), "the tool failed, and does not say why");
  const error = { code: -32001, message: "the deadline of 60 s passed" };
  assert.equal(callFailure({ result: null, error }), "the deadline of 60 s passed (error -32001)");
});

test("any answer of a server is printed without a failure of ours", () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom("content", "structuredContent", "isError"), fc.jsonValue()),
      (result) => {
        assert.equal(typeof answerText(of(result), { isTerminal: true }), "string");
        callFailure(of(result));
      },
    ),
  );
});

test("a line for each share, with holders and a hint below", () => {
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
    hint: close them, or add --force
✗ OLD    failed: wrong password for ada
– X      skipped
`,
  );
  assert.equal(renderResults([], PLAIN), "");
});

test("the first of many holders are named and the rest counted", () => {
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
  const hostile = { share: HOSTILE, detail: HOSTILE, hint: HOSTILE, holders };
  const text = renderResults([sampleResult(hostile)], PLAIN);
  assertHarmless(text);
  assert.equal(text.split("\n").length, 4);
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

test("verify lists the problems, or says that there are none", () => {
  const looked = (shares: number, backends: number): string =>
    renderVerify({ ok: true, findings: [], checked: { shares, backends } }, PLAIN);
  assert.equal(looked(1, 12), "✓ 1 share, 12 servers: everything is as it should be\n");
  assert.equal(looked(0, 2), "✓ 2 servers: everything is as it should be\n");
  assert.equal(looked(0, 0), "i no share and no server is enabled, so nothing was checked\n");
  const checked = { shares: 1, backends: 0 };
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
    renderVerify({ ok: false, findings: [...findings], checked }, PLAIN),
    "✗ CORE  the mount does not answer\n▲       the network is polled\n    hint: load the module\n",
  );
  assert.equal(
    renderVerify({ ok: true, findings: findings.slice(1), checked }, PLAIN),
    "▲ the network is polled\n    hint: load the module\n",
    "no word of all being well above what is not",
  );
});

const ASCII = { ...PLAIN, unicode: false };

const alias = (changes: Partial<AliasStatus> = {}): AliasStatus =>
  sampleAlias({ target_subpath: "Docs/2026", path: "/S/Links/docs", ...changes });

type Favorite = Parameters<typeof renderShares>[0][number];

function favorite(changes: Partial<Favorite> = {}): Favorite {
  const hosts = { thunderbolt: "10.0.0.1", fallback: "nas.local:4450" };
  return { name: "CORE", ...hosts, stable_path: "/S/CORE", aliases: [], ...changes };
}

test("an alias is a line, and its fault another", () => {
  const aliases = [
    alias(),
    alias({ name: "a film", link: "missing" }),
    alias({ name: "t", link: "taken", detail: "/S/Links/t is a file" }),
    alias({ name: "b", link: "blocked", detail: "no answer" }),
  ];
  assert.equal(
    renderAliases(aliases, PLAIN),
    `✓ docs    CORE/Docs/2026  /S/Links/docs
▲ a film  CORE/Docs/2026  /S/Links/docs
    its link is not there; the daemon makes it: mountaineer up
✗ t       CORE/Docs/2026  /S/Links/docs
    /S/Links/t is a file; it is left as it is
✗ b       CORE/Docs/2026  /S/Links/docs
    no answer
`,
  );
  assert.match(renderAliases([alias()], ASCII), /^\+ docs/);
  assert.equal(renderAliases([], PLAIN), "");
});

test("a favorite shows its state, its route, and where its link is", () => {
  const favorites = [
    favorite({ aliases: ["docs", "film"] }),
    favorite({ name: "B" }),
    favorite({ name: "C", thunderbolt: null }),
  ];
  const shares = [sampleShare(), sampleShare({ name: "B", active_interface: "fallback" })];
  assert.equal(
    renderShares(favorites, shares, PLAIN),
    `CORE  mounted over Thunderbolt  10.0.0.1 | nas.local:4450  /S/CORE
    alias docs
    alias film
B     mounted over Fallback  10.0.0.1 | nas.local:4450  /S/CORE
C     no daemon runs  nas.local:4450  /S/CORE
`,
  );
});

test("a cursor ignores other backends' names", () => {
  const evil = "a\u001b[2J\nb";
  for (const text of [
    renderAliases(
      [alias({ name: evil, target_subpath: evil, path: evil, link: "taken", detail: evil })],
      PLAIN,
    ),
    renderShares(
      [favorite({ name: evil, thunderbolt: evil, stable_path: evil, aliases: [evil] })],
      [],
      PLAIN,
    ),
  ]) {
    assert.ok(!text.includes("\u001b"), JSON.stringify(text));
  }
});

test("a self-test is a line for each adapter: passed, missing on this machine, or failed", () => {
  const result = (adapter: string, passed: boolean | null, detail: string) =>
    ({ adapter, passed, detail, took_ms: 3 }) as const;
  const results = [
    result("durable files", true, "written"),
    result("routes", null, "no ip"),
    result("lock", false, "held\x1b"),
  ];
  const report = { ok: false, platform: "linux", version: "1", results };
  const text = renderSelfTest(report, { width: 80, color: false, unicode: false });
  assert.match(text, /^pass {2}durable files {2}written \(3 ms\)$/m);
  assert.match(text, /^skip {2}routes {9}no ip \(3 ms\)$/m);
  assert.match(text, /^FAIL {2}lock {11}held\\x1b \(3 ms\)$/m);
});
