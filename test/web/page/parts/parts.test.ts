import assert from "node:assert/strict";
import { test } from "node:test";
import { h } from "preact";
import type { Action } from "../../../../src/api/labels/actions.ts";
import { msText } from "../../../../src/api/labels/label.ts";
import { outcome } from "../../../../src/api/labels/outcome-labels.ts";
import { configJsonSchema } from "../../../../src/config/schema/schema.ts";
import { MountaineerError } from "../../../../src/runtime/errors.ts";
import { objectOf } from "../../../../src/runtime/text/json-object.ts";
import { bytesText, printableLines } from "../../../../src/runtime/text/plain-text.ts";
import { hiddenPositions } from "../../../../src/web/page/config/config-editor.ts";
import { createStore, useStore } from "../../../../src/web/page/daemon/store.ts";
import { ActionButton } from "../../../../src/web/page/parts/action-button.ts";
import { CommandHome, Copyable, withCode } from "../../../../src/web/page/parts/elements.ts";
import { createFormStores } from "../../../../src/web/page/parts/form-store.ts";
import { addNotice, NO_NOTICES, Notices } from "../../../../src/web/page/parts/notices.ts";
import { clockText, forText, shown } from "../../../../src/web/page/parts/text.ts";
import { useLoaded } from "../../../../src/web/page/parts/use-loaded.ts";
import { takeLinkCode } from "../../../../src/web/page/shell/link-code.ts";
import { SYNC_FORMS, settingsForm, unsavedSync } from "../../../../src/web/page/sync/sync-view.ts";
import { eventually } from "../../../support/eventually.ts";
import { pluck } from "../../../support/pluck.ts";
import { scriptedApp } from "../scripted-app.ts";
import { mount } from "../tiny-dom.ts";

test("F2 a form is kept by its session and its name, and is one for all components that draw it", () => {
  const forms = createFormStores<{ text: string }>();
  const session = {};
  assert.equal(forms.find(session, "one"), null);
  const one = forms.storeOf(session, "one", () => ({ text: "drawn" }));
  one.set({ text: "typed" });
  // A save that began before a look at another view must not bring back what was typed before it.
  const again = forms.storeOf(session, "one", () => ({ text: "drawn" }));
  again.set({ text: "typed later" });
  assert.deepEqual(one.get(), { text: "typed later" });
  assert.equal(forms.find(session, "two"), null, "another tool's");
  assert.equal(forms.find({}, "one"), null, "another session's");
  assert.deepEqual(forms.storeOf({}, "one", () => ({ text: "drawn" })).get(), { text: "drawn" });
  assert.equal(createFormStores().find(session, "one"), null, "another kind's");
});

test("F2 an action whose question is answered with no is not performed", async () => {
  for (const yes of [false, true]) {
    let performed = 0;
    const action: Action = {
      ...{ id: ["forget", "CORE"], name: "forget CORE", label: "Forget", isUseful: true },
      command: "mountaineer forget CORE",
      question: { title: "Forget CORE?", text: "" },
      async perform() {
        performed += 1;
        return outcome("good", "done");
      },
    };
    const { run } = objectOf(objectOf(ActionButton({ app: scriptedApp({}, {}, yes), action }))["props"]);
    assert.ok(typeof run === "function");
    await run();
    assert.equal(performed, yes ? 1 : 0);
  }
});

test("F2 sizes, times and foreign texts are shown in words without control characters", () => {
  const now = new Date(2026, 0, 5, 14, 32, 5).getTime();
  const at = (ms: number): string => new Date(now - ms).toISOString();
  assert.deepEqual([0, 999, 1000, 12_345, 99_950, 123_456, 5e15].map(bytesText), [
    "0 B",
    "999 B",
    "1.0 kB",
    "12.3 kB",
    "100.0 kB",
    "123 kB",
    "5000 TB",
  ]);
  assert.deepEqual([0, 9.99, 10, 999, 1000, 61_234].map(msText), [
    "0.0 ms",
    "10.0 ms",
    "10 ms",
    "999 ms",
    "1.0 s",
    "61.2 s",
  ]);
  assert.deepEqual(
    [forText(at(300_000), now), forText(at(-1), now), forText(null, now), forText("yesterday", now)],
    ["for 5 min", null, null, null],
  );
  assert.match(clockText(now - 1000, now), /^14:32:04$/);
  assert.match(clockText(now - 86_400_000, now), /4.*14:32:05$/);
  assert.equal(shown("a\tb\r\n\u001b[2J\u202e"), "a b\\x0d \\x1b[2J\\u{202e}");
  assert.equal(printableLines("a\tb\r\n\u001b[2J"), "a\tb\n\\x1b[2J");
});

test("F2 lines with invisible characters are named, the first twenty", () => {
  assert.deepEqual(pluck(hiddenPositions("plain\nb\u202ec"), "line"), [2]);
  assert.equal(hiddenPositions("\u202e\n".repeat(50)).length, 20);
});

test("F2 a notice offers an undo once; a notice without an undo does not", async (t) => {
  const store = createStore(NO_NOTICES);
  using view = mount(Notices, { store });
  store.set({ spoken: "drawn" });
  await eventually(() => view.text() === "drawn");
  // None goes away by itself here.
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let undone = 0;
  addNotice(store, "good", "CORE: unmounted", async () => undone++);
  addNotice(store, "bad", "MEDIA: failed");
  await new Promise(setImmediate);
  view.named("button", "Undo: CORE: unmounted").fire("click");
  await new Promise(setImmediate);
  assert.equal(undone, 1);
  assert.doesNotMatch(view.text(), /CORE|Undo/);
  assert.match(view.text(), /MEDIA: failed/);
});

test("F2 four notices are shown at most; a good one disappears automatically, later if it offers an undo, a bad one stays", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const store = createStore(NO_NOTICES);
  const shownNow = () => pluck(store.get().notices, "text").join(" ");
  for (const text of ["first", "second"]) addNotice(store, "good", text);
  addNotice(store, "bad", "wrong");
  addNotice(store, "good", "undone", async () => {});
  addNotice(store, "plain", "last");
  assert.equal(shownNow(), "second wrong undone last");
  t.mock.timers.tick(8_000);
  assert.equal(shownNow(), "wrong undone");
  t.mock.timers.tick(60_000);
  assert.equal(shownNow(), "wrong");
});

test("F2 of two answers the one to the later request wins; a failure is shown until the next answer", async () => {
  const answers: PromiseWithResolvers<string>[] = [];
  const signals: AbortSignal[] = [];
  const turn = createStore({ version: 0 });
  const View = () => {
    const version = useStore(turn, (state) => state.version);
    const { report, problem } = useLoaded((signal) => {
      signals.push(signal);
      const answer = Promise.withResolvers<string>();
      answers.push(answer);
      return answer.promise;
    }, version);
    return h("p", {}, `${report} ${problem}`);
  };
  using view = mount(View as never, {});
  const asks = async (version: number): Promise<void> => {
    turn.set({ version });
    await eventually(() => answers.length === version + 1);
  };
  await eventually(() => answers.length === 1);
  await asks(1);
  answers[1]?.resolve("new");
  await eventually(() => view.text() === "new null");
  answers[0]?.resolve("old");
  await asks(2);
  answers[2]?.reject(new MountaineerError("timed_out", "late"));
  await eventually(() => view.text() === "new late");
  await asks(3);
  answers[3]?.reject(new MountaineerError("daemon_unreachable", "away"));
  await asks(4);
  assert.equal(view.text(), "new late", "the banner tells of a daemon that is away");
  answers[4]?.resolve("newest");
  await eventually(() => view.text() === "newest null");
  assert.deepEqual(
    pluck(signals, "aborted"),
    [true, true, true, true, false],
    "what is outdated is cancelled",
  );
});

test("F2 text to be typed elsewhere is copied unchanged, where the browser lets a page do so", async (t) => {
  const copied: string[] = [];
  const writeText = async (text: string): Promise<void> => void copied.push(text);
  const before = Object.getOwnPropertyDescriptor(globalThis, "navigator") ?? {};
  t.after(() => Object.defineProperty(globalThis, "navigator", before));
  for (const clipboard of [undefined, { writeText }]) {
    Object.defineProperty(globalThis, "navigator", { value: { clipboard }, configurable: true });
    using view = mount(Copyable, { text: "mountaineer open" });
    assert.match(view.text(), /^mountaineer open/);
    for (const button of view.elements("button")) button.fire("click");
  }
  assert.deepEqual(copied, ["mountaineer open"]);
});

test("F2 commands name the daemon's home where it is not the usual one", () => {
  const shownIn = (value: string): string => {
    const hint = withCode("Correct it, then: mountaineer reload, or `mountaineer secret set NAME`");
    const texts = [h(Copyable, { text: "mountaineer admin K7QM-2RWX" }), " ", hint];
    using view = mount(() => h(CommandHome.Provider, { value }, texts), {});
    return view.text();
  };
  const plain =
    "mountaineer admin K7QM-2RWX Correct it, then: mountaineer reload, or mountaineer secret set NAME";
  for (const usual of ["", "/root/.mountaineer", "/home/ann/.mountaineer"])
    assert.equal(shownIn(usual), plain);
  const named = "MOUNTAINEER_HOME='/a b' mountaineer ";
  assert.equal(shownIn("/a b"), plain.replaceAll("mountaineer ", named));
});

function taken(hash: string): { code: ReturnType<typeof takeLinkCode>; addresses: unknown[] } {
  const addresses: unknown[] = [];
  const history = {
    replaceState: (_state: unknown, _title: string, address?: unknown) => void addresses.push(address),
  };
  return { code: takeLinkCode({ location: { hash, pathname: "/" }, history }), addresses };
}

test("E2 a link's code is removed from the address at once", () => {
  assert.deepEqual(taken("#abc-DEF_1"), { code: { code: "abc-DEF_1", isForOwner: false }, addresses: ["/"] });
  assert.deepEqual(taken("#abc-DEF_1.admin").code, { code: "abc-DEF_1", isForOwner: true });
});

test("a view's address is not a code and stays", () => {
  for (const hash of ["", "#", "#/", "#/sync"]) assert.deepEqual(taken(hash), { code: null, addresses: [] });
});

test("a broken address is an unknown code", () => {
  assert.deepEqual(taken("#%zz"), { code: { code: "%zz", isForOwner: false }, addresses: ["/"] });
});

test("F2 unsaved changes of the Sync form are kept for their session", () => {
  const session = {};
  const settings = {
    enabled: true,
    poll_interval: 1,
    debounce: 0.05,
    detection: "mtime",
    on_failure: "backoff",
  } as const;
  const drawn = { settings, sha256: "0".repeat(64), root: settingsForm(configJsonSchema(), settings) };
  assert.equal(unsavedSync(session), null);
  const form = SYNC_FORMS.storeOf(session, "", () => drawn);
  assert.equal(unsavedSync(session), null, "nobody has changed it");
  const changed = { ...settings, debounce: 0.07 };
  form.set({ root: settingsForm(configJsonSchema(), changed) });
  assert.deepEqual(unsavedSync(session), { ...drawn, root: settingsForm(configJsonSchema(), changed) });
  assert.equal(unsavedSync({}), null, "another session's");
  form.set({ settings: changed });
  assert.equal(unsavedSync(session), null, "saved");
});
