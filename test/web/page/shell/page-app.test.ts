import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { configJsonSchema } from "../../../../src/config/schema/schema.ts";
import { PageApp } from "../../../../src/web/page/shell/page-app.ts";
import { sampleApprovals, sampleSyncReport } from "../../../api/sample-config.ts";
import { gatewayReport } from "../../../api/sample-gateway.ts";
import { eventually } from "../../../support/eventually.ts";
import { mount } from "../tiny-dom.ts";

const SESSION = { expires_at: null, may_run_commands: false };
const ANSWERS: Readonly<Record<string, unknown>> = {
  "/manage/v1/status": gatewayReport(),
  "/manage/v1/sync": sampleSyncReport(),
  "/manage/v1/config/approvals": sampleApprovals(),
  "/page/config-schema.json": configJsonSchema(),
};

/** A browser with a daemon that has the session `own`, and takes the link "once" and the token "right". */
function openBrowser(t: TestContext, own: boolean) {
  const asked: string[] = [];
  let isIn = own;
  let refusesAll = false;
  let isOwner = false;
  t.mock.method(globalThis, "fetch", async (path: string, { method, body }: RequestInit) => {
    asked.push(`${method} ${path}`);
    if (refusesAll) return new Response(null, { status: 401 });
    if (path.endsWith("/stream?flow")) return new Response(new ReadableStream());
    if (path === "/page/v1/owner") {
      isOwner = String(body) === '{"code":"K7QM-2RWX"}';
      return isOwner ? Response.json({ right: "r" }) : Response.json({}, { status: 403 });
    }
    if (path !== "/page/v1/session")
      return path in ANSWERS ? Response.json(ANSWERS[path]) : Response.json({}, { status: 404 });
    if (method === "GET" && isOwner) return Response.json({ ...SESSION, may_run_commands: true });
    if (method === "GET") return isIn ? Response.json(SESSION) : new Response(null, { status: 401 });
    if (method === "POST" && !/once|right/.test(String(body)))
      return Response.json(
        { error: { code: "permission_denied", message: "not taken", hint: null } },
        { status: 401 },
      );
    isIn = method === "POST";
    return isIn ? Response.json({ ...SESSION, session: "s3cret" }) : new Response(null, { status: 204 });
  });
  const kept = new Map(own ? [["mountaineer-session", "s3cret"]] : []);
  const sessionStorage = {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, value: string) => kept.set(name, value),
    removeItem: (name: string) => kept.delete(name),
  };
  const listeners = new Map<string, () => void>();
  const location = { hash: "" };
  const window = {
    addEventListener: (name: string, listener: () => void) => listeners.set(name, listener),
    removeEventListener: (name: string) => listeners.delete(name),
  };
  Object.assign(globalThis, { sessionStorage, location, window });
  return {
    asked,
    refuseAll(): void {
      refusesAll = true;
    },
    go(hash: string): void {
      location.hash = hash;
      listeners.get("hashchange")?.();
    },
  };
}

test("F2 a link signs in; a used one is reported, and a token is requested", async (t) => {
  openBrowser(t, false);
  {
    using page = mount(PageApp, { link: { code: "once", isForOwner: false } });
    await eventually(() => page.text().includes("live"));
  }
  openBrowser(t, false);
  using page = mount(PageApp, { link: { code: "used", isForOwner: false } });
  await eventually(() => page.text().includes("This link has expired or was already used: not taken."));
  const type = async (token: string): Promise<void> => {
    page.byId("token").fire("input", { value: token });
    await eventually(() => page.byId("token").value === token);
    await new Promise(setImmediate);
    page.elements("form")[0]?.fire("submit");
  };
  await type(" ");
  await eventually(() => page.text().includes("Type or paste the token."));
  await type("wrong");
  await eventually(() => /not taken/.test(page.text()) && !/The link/.test(page.text()));
  await type(" right ");
  await eventually(() => page.text().includes("live"));
});

test("F4 E2 a link of open --admin signs in and asks for the code that the terminal shows; only this code gives the right", async (t) => {
  const { asked } = openBrowser(t, false);
  using page = mount(PageApp, { link: { code: "once", isForOwner: true } });
  await eventually(() => page.text().includes("Code that your terminal shows"));
  const type = async (code: string): Promise<void> => {
    page.byId("owner-code").fire("input", { value: code });
    await eventually(() => page.byId("owner-code").value === code);
    await new Promise(setImmediate);
    page.elements("form")[0]?.fire("submit");
  };
  await type("AAAA-AAAA");
  await eventually(() => asked.includes("POST /page/v1/owner"));
  assert.match(page.text(), /Code that your terminal shows/);
  await type("K7QM-2RWX");
  await eventually(() => !page.text().includes("Code that your terminal shows"));
});

test("F2 a session that the daemon ended first is shown as ended with its cause once the other tab reports it", async (t) => {
  const browser = openBrowser(t, true);
  using one = mount(PageApp, { link: null });
  await eventually(() => one.text().includes("live"));
  browser.refuseAll();
  browser.go("#/settings/secrets");
  await eventually(() => one.text().includes("The session has ended."));
  const other = new BroadcastChannel("mountaineer-session");
  other.postMessage({ says: "signed-out" });
  await eventually(() => one.text().includes("Signed out in another tab."));
  other.close();
});
