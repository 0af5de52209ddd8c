// Adds a server from the public registry: a search by name, a form for the inputs of the server, and what would run.
// Loads no images.
import { type ComponentChild, h } from "preact";
import { useState } from "preact/hooks";
import type { RegistryServerReport } from "../../../api/contract/registry.ts";
import type { OutputOf } from "../../../api/operations/operations.ts";
import { MountaineerError } from "../../../runtime/errors.ts";
import type { App, ViewProps } from "../parts/app.ts";
import { choiceRow, code, nothing, plainList } from "../parts/elements.ts";
import { shown } from "../parts/text.ts";
import { DeclaredForm, neededText, optionalText, textIn } from "./declared-form.ts";
import { addServer, typedBackend } from "./server-plan.ts";

const PART = "Part of its name";
const NAME = "Name here";

type Found = OutputOf<"searchRegistry">["servers"];

export function AddFromRegistry({ app }: ViewProps): ComponentChild {
  const [found, setFound] = useState<Found | null>(null);
  const [chosen, setChosen] = useState<RegistryServerReport | null>(null);
  const choose = (server: string): Promise<unknown> =>
    app.attempt("Ask the registry", async () =>
      setChosen(await app.requests.call("registryServer", { server, name: "new", values: {} })),
    );
  return [
    h(DeclaredForm, {
      ...{ app, label: "Search the registry", action: "Search" },
      fields: { [PART]: neededText("Asked of registry.modelcontextprotocol.io.") },
      run: (values) =>
        app.attempt("Search the registry", async () => {
          setChosen(null);
          setFound((await app.requests.call("searchRegistry", { query: textIn(values, PART) })).servers);
        }),
    }),
    found === null
      ? null
      : found.length === 0
        ? nothing("The registry knows no such server.")
        : list(found, choose),
    chosen === null ? null : h(Chosen, { key: chosen.name, app, server: chosen }),
  ];
}

function list(found: Found, choose: (server: string) => Promise<unknown>): ComponentChild {
  return plainList(
    "Servers of the registry",
    found.map(({ name, version, description, deprecated }) =>
      choiceRow(
        { key: name, name, accessibleName: name, choose: () => void choose(name) },
        h("span", { class: "dim" }, shown(version), deprecated ? ", deprecated" : ""),
        h("span", { class: "grow" }, shown(description.slice(0, 200))),
      ),
    ),
  );
}

function Chosen({ app, server }: ViewProps & { readonly server: RegistryServerReport }): ComponentChild {
  const open = server.inputs.filter(({ secret }) => !secret);
  const fields = open.map(({ name, description, required, fallback, choices }) => [
    name,
    {
      ...(required && fallback === null ? neededText : optionalText)(description ?? ""),
      ...(fallback === null ? {} : { default: fallback }),
      ...(choices.length === 0 ? {} : { enum: choices }),
    },
  ]);
  const hidden = server.inputs.filter(({ secret }) => secret);
  return [
    h(
      "p",
      {},
      h("strong", {}, shown(server.name)),
      ` ${shown(server.version)}: ${shown(server.description)}`,
    ),
    h(DeclaredForm, {
      ...{ app, label: "What it wants", action: "Show what runs …" },
      fields: { [NAME]: neededText(), ...Object.fromEntries(fields) },
      hidden: hidden.map(({ name, description, required }) => ({
        ...{ name, about: description ?? "Kept outside of the configuration.", isRequired: required },
      })),
      run: (values, typed) => app.attempt("Add the server", () => add(app, server.name, values, typed)),
    }),
  ];
}

async function add(
  app: App,
  server: string,
  { [NAME]: given, ...others }: Readonly<Record<string, unknown>>,
  hidden: ReadonlyMap<string, string>,
): Promise<void> {
  const name = textIn({ given }, "given");
  const open = Object.keys(others).map((key) => [key, textIn(others, key)] as const);
  // Sends hidden fields with empty values: the daemon learns which of them are filled, but not with what.
  const values = Object.fromEntries([...open, ...[...hidden.keys()].map((key) => [key, ""] as const)]);
  const { plan, why, version } = await app.requests.call("registryServer", { server, name, values });
  if (plan === null) throw new MountaineerError("usage", why ?? "it cannot be used here");
  const [program = "", ...args] = plan.command ?? [];
  const connection = plan.url === null ? { command: program, args } : { url: plan.url };
  const secrets = Object.entries(plan.secrets).map(([input, secret]) => ({
    ...{ name: secret, value: hidden.get(input) ?? "" },
  }));
  const about = [
    h("p", {}, code(server), ` ${shown(version)}, from the registry`),
    plan.remarks.map((remark) => h("p", { key: remark, class: "hint" }, shown(remark))),
  ];
  await addServer(app, name, typedBackend(connection, new Map(Object.entries(plan.texts))), secrets, about);
}
