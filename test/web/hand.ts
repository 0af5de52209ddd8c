// What a person does in a browser, by the mouse or by keys alone, in whichever browser: only what Playwright's and
// Puppeteer's pages have in common.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import puppeteer from "puppeteer-core";
import { eventually } from "../support/eventually.ts";
import { SOON_MS, startChromium } from "./page-rig.ts";

const FIREFOX = "/usr/bin/firefox-esr";
export const NO_FIREFOX: string | false = existsSync(FIREFOX) ? false : "needs firefox-esr";
const SIZE = { width: 1200, height: 900 };
/** More than any view has places for the focus. */
const MOST_TABS = 250;

type Key = "Tab" | "Enter" | "Space" | "Escape" | "ArrowDown" | "Home";

export interface Tab {
  goto(url: string): Promise<unknown>;
  evaluate(script: string): Promise<unknown>;
  readonly mouse: { click(x: number, y: number): Promise<void> };
  readonly keyboard: { press(key: Key): Promise<void>; type(text: string): Promise<void> };
}

export interface OpenTab {
  readonly tab: Tab;
  close(): Promise<void>;
}

/** A tab of a browser of its own; it does not move by itself. */
export async function openChromiumTab(): Promise<OpenTab> {
  const browser = await startChromium();
  const tab = await browser.newPage({ viewport: SIZE, reducedMotion: "reduce" });
  return { tab, close: () => browser.close() };
}

export async function openFirefoxTab(): Promise<OpenTab> {
  const browser = await puppeteer.launch({
    browser: "firefox",
    executablePath: FIREFOX,
    defaultViewport: SIZE,
    extraPrefsFirefox: { "ui.prefersReducedMotion": 1 },
  });
  return { tab: await browser.newPage(), close: () => browser.close() };
}

/** In the page: those of a kind that can be seen and used, by their names; an open dialog alone, if there is one. */
const FOUND = `(kind, name, form) => {
  const kinds = {
    button: "button:not(:disabled), summary",
    link: "a[href]",
    field: "input, select, textarea",
  };
  const plain = (text) => (text ?? "").replace(/\\s+/g, " ").trim();
  const nameOf = (each) => plain(each.getAttribute("aria-label") ?? each.labels?.[0]?.textContent ?? each.textContent);
  return [...(document.querySelector("dialog[open]") ?? document).querySelectorAll(kinds[kind])].find(
    (each) =>
      each.getClientRects().length > 0 &&
      (form === "" || each.closest("form")?.getAttribute("aria-label") === form) &&
      new RegExp("^(?:" + name + ")$").test(nameOf(each)),
  );
}`;

type Kind = "button" | "link" | "field";

/** Of which form, and a pattern of all of its name. */
interface Place {
  readonly kind: Kind;
  readonly name: string;
  readonly form: string;
}

/** `name` is a pattern of all of the name. */
export interface Hand {
  press(name: string, kind?: Kind, form?: string): Promise<void>;
  /** In place of what is there. */
  fill(name: string, text: string): Promise<void>;
  /** Of a list of choices, by the keyboard, as a browser without a window draws no menu. */
  choose(name: string, option: string): Promise<void>;
  /** Waits until the page says that. */
  see(text: RegExp): Promise<string>;
  /** By the navigation, as `openView` takes it. */
  go(where: string): Promise<void>;
  /** Waits until the page itself has gone to that place. */
  arrive(at: string): Promise<void>;
}

export function handAt(tab: Tab, by: "mouse" | "keys"): Hand {
  const ask = (body: string, { kind, name, form }: Place): Promise<unknown> =>
    tab.evaluate(`((it) => { ${body} })((${FOUND})(...${JSON.stringify([kind, name, form])}))`);
  const there = async (place: Place): Promise<void> => {
    await eventually(() => ask("return it !== undefined", place), SOON_MS).catch(async () => {
      throw new Error(`no ${place.kind} ${place.name}: ${await tab.evaluate("document.body.innerText")}`);
    });
  };
  /** The focus gets there by Tab alone; there it can be seen. */
  const tabTo = async (place: Place): Promise<void> => {
    const hasFocus = "return it !== undefined && document.activeElement === it";
    for (let tabs = 0; (await ask(hasFocus, place)) !== true; tabs++) {
      assert.ok(tabs < MOST_TABS, `${MOST_TABS} times Tab do not lead to ${place.kind} ${place.name}`);
      await tab.keyboard.press("Tab");
    }
    assert.equal(
      await ask('return it.matches(":focus-visible")', place),
      true,
      `${place.name} shows no focus`,
    );
  };
  const click = async (place: Place): Promise<void> => {
    const at = await ask(
      `it.scrollIntoView({ block: "center" });
       const box = it.getBoundingClientRect();
       return JSON.stringify([box.x + box.width / 2, box.y + box.height / 2]);`,
      place,
    );
    const [x, y] = JSON.parse(String(at));
    await tab.mouse.click(x, y);
  };
  const reach = async (place: Place): Promise<void> => {
    await there(place);
    await (by === "keys" ? tabTo : click)(place);
  };
  const self: Hand = {
    async press(name, kind = "button", form = "") {
      await reach({ kind, name, form });
      if (by === "keys") await tab.keyboard.press(kind === "link" ? "Enter" : "Space");
    },
    async fill(name, text) {
      const place = { kind: "field", name, form: "" } as const;
      await reach(place);
      // The Tab key selects what is there.
      if (by === "mouse") await ask("it.select()", place);
      await tab.keyboard.type(text);
    },
    async choose(name, option) {
      const place = { kind: "field", name, form: "" } as const;
      await there(place);
      if (by === "keys") await tabTo(place);
      else await ask("it.focus()", place);
      const told = "return it.selectedOptions[0]?.textContent ?? ''";
      const last = "return it.selectedIndex === it.options.length - 1";
      await tab.keyboard.press("Home");
      while ((await ask(told, place)) !== option) {
        assert.notEqual(await ask(last, place), true, `${name} has no ${option}`);
        await tab.keyboard.press("ArrowDown");
      }
    },
    see: (text) =>
      eventually(async () => {
        const said = String(await tab.evaluate("document.body.innerText"));
        assert.match(said, text);
        return said;
      }, SOON_MS),
    async go(where) {
      for (const name of where.split("/")) {
        const link = { kind: "link", name: `${name}(?: \\d+ waiting)?`, form: "" } as const;
        await there(link);
        if ((await ask('return it.hash === location.hash.split("?")[0]', link)) === true) continue;
        await self.press(link.name, "link");
        // Over with the focus, too: before that, what is typed would go nowhere.
        await eventually(() => tab.evaluate('document.activeElement?.id === "title"'), SOON_MS);
      }
    },
    async arrive(at) {
      const isThere = `location.hash === "#/${at}" && document.activeElement?.id === "title"`;
      await eventually(() => tab.evaluate(isThere), SOON_MS);
    },
  };
  return self;
}
