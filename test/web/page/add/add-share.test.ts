// Adding a share in the page: which password goes where.
import assert from "node:assert/strict";
import { test } from "node:test";
import { AddShare } from "../../../../src/web/page/add/add-share.ts";
import { eventually } from "../../../support/eventually.ts";
import { scriptedApp } from "../scripted-app.ts";
import { mount } from "../tiny-dom.ts";

test("F4 a server that answers late is added with the password that was typed for it, and no other's, for this network alone", async () => {
  Object.assign(globalThis, { location: { hash: "" } });
  const late = Promise.withResolvers<unknown>();
  const found = (address: string) => ({
    ...{ address, port: 445, name: address, host: null, interface: null, by: ["dns-sd"], mounts: [] },
    link: { kind: "wired", text: "Ethernet", speed: null },
  });
  const app = scriptedApp({
    discover: { servers: [found("192.0.2.1"), found("192.0.2.2")] },
    shareNames: [late.promise, { kind: "listed", names: ["OTHER"] }],
    shareNetworks: { networks: ["gateway:02:00:00:00:00:01"] },
  });
  using page = mount(AddShare, { app });
  const there = (kind: string, name: string) => eventually(() => page.named(kind, name));
  const submit = (label: string, hidden: { readonly name: string; value: string }[]): void => {
    const form = page.named("form", label);
    Object.assign(form, { querySelectorAll: () => hidden });
    form.fire("submit");
  };
  const logIn = async (address: string, password: string): Promise<void> => {
    (await there("button", `Choose ${address} at ${address}`)).fire("click");
    await eventually(() => page.byId("Log-in-0").value === address);
    page.byId("Log-in-1").fire("input", { value: "ann" });
    await eventually(() => page.byId("Log-in-1").value === "ann");
    submit("Log in", [{ name: "Password", value: password }]);
    await eventually(() => app.log.some((line) => line.includes(`"password":"${password}"`)));
  };
  (await there("button", "Look for servers")).fire("click");
  await logIn("192.0.2.1", "of the first");
  await logIn("192.0.2.2", "of the second");
  await eventually(() => /192\.0\.2\.2 takes this login/.test(page.text()));
  late.resolve({ kind: "listed", names: ["CORE"] });
  await eventually(() => /192\.0\.2\.1 takes this login/.test(page.text()));
  page.byId("Choose-a-share-0").fire("change", { value: '"CORE"' });
  await eventually(() => page.byId("Choose-a-share-0").value === '"CORE"');
  submit("Choose a share", []);
  await eventually(() => app.log.some((line) => line.startsWith("edit ")));
  const [, edit = ""] = /^edit (.*)/.exec(app.log.find((line) => line.startsWith("edit ")) ?? "") ?? [];
  assert.deepEqual(JSON.parse(edit).edits[1], {
    key: 'shares."CORE".only_on',
    value: '["gateway:02:00:00:00:00:01"]',
  });
  const kept = app.log.find((line) => line.startsWith("setSecret "));
  assert.match(kept ?? "", /"value":"of the first"/);
  assert.match(app.log.find((line) => line.startsWith("edit ")) ?? "", /"fallback_host":"192\.0\.2\.1"/);
});

test("C5 a share that is to be used on this network alone is not added for all where the network cannot be told any more", async () => {
  const app = scriptedApp({
    shareNames: { kind: "listed", names: ["CORE"] },
    shareNetworks: [{ networks: ["gateway:02:00:00:00:00:01"] }, { networks: null }],
  });
  using page = mount(AddShare, { app });
  const submit = (label: string, hidden: readonly { name: string; value: string }[]): void => {
    const form = page.named("form", label);
    Object.assign(form, { querySelectorAll: () => hidden });
    form.fire("submit");
  };
  const type = async (id: string, value: string): Promise<void> => {
    page.byId(id).fire("input", { value });
    await eventually(() => page.byId(id).value === value);
  };
  await type("Log-in-0", "192.0.2.1");
  await type("Log-in-1", "ann");
  submit("Log in", [{ name: "Password", value: "p" }]);
  await eventually(() => /192\.0\.2\.1 takes this login/.test(page.text()));
  page.byId("Choose-a-share-0").fire("change", { value: '"CORE"' });
  await eventually(() => page.byId("Choose-a-share-0").value === '"CORE"');
  submit("Choose a share", []);
  await eventually(() => app.log.some((line) => /^(bad|edit)/.test(line)));
  assert.match(app.log.at(-1) ?? "", /^bad: Add the share: 192\.0\.2\.1: /);
});
