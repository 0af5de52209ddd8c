// Adds an MCP server by command or address, after showing what will run and where credentials go.
import { type ComponentChild, h } from "preact";
import { hasNoPath } from "../../../api/setup/mcp-address.ts";
import { connectionOf, type TypedConnection } from "../../../config/edit/new-backend.ts";
import { freeSecretName } from "../../../config/secret-names.ts";
import type { App, ViewProps } from "../parts/app.ts";
import { Lockable } from "../parts/owner-lock.ts";
import { AddFromRegistry } from "./add-from-registry.ts";
import { DeclaredForm, neededText, textIn } from "./declared-form.ts";
import { type SecretToKeep, takenSecrets } from "./save-added.ts";
import { addServer, typedBackend } from "./server-plan.ts";
import { typedRows, VariableRows, variableRows } from "./variable-rows.ts";

const SERVER = {
  Name: neededText("What it is called here.", "files"),
  "Command or address": neededText(
    "A command line, or an address that begins with https://. No shell reads it.",
    "npx -y @playwright/mcp",
  ),
};

export function AddServer({ app }: ViewProps): ComponentChild {
  return h(
    "section",
    { "aria-label": "Add a server" },
    h(
      Lockable,
      { app, what: "add a server" },
      h(
        DeclaredForm,
        {
          ...{ app, label: "Add by command or address", fields: SERVER, action: "Show what runs …" },
          async run(values, hidden, clear) {
            let isAdded = false;
            await app.attempt("Add the server", async () => {
              isAdded = await addTyped(app, values, typedRows(app, hidden));
            });
            if (!isAdded) return false;
            clear();
            variableRows(app).set({ rows: [] });
            return true;
          },
        },
        h(VariableRows, { app }),
      ),
      h("h2", {}, "From the registry"),
      h(AddFromRegistry, { app }),
    ),
  );
}

async function addTyped(
  app: App,
  values: Readonly<Record<string, unknown>>,
  rows: ReturnType<typeof typedRows>,
): Promise<boolean> {
  const name = textIn(values, "Name");
  const typed = connectionOf(textIn(values, "Command or address"));
  const connection = await withPath(app, typed);
  const about =
    connection === typed ? null : h("p", {}, "That address has no path, and a server answers here.");
  const isTaken = await takenSecrets(app);
  const texts = new Map<string, string>();
  const secrets: SecretToKeep[] = [];
  for (const { name: key, value, isSecret } of rows) {
    if (!isSecret) {
      texts.set(key, value);
      continue;
    }
    const isNew = (one: string): boolean => isTaken(one) || secrets.some((secret) => secret.name === one);
    const secret = freeSecretName(`${name}-${key}`, isNew);
    const isHeader = /^authorization$/i.test(key);
    const [, scheme = "Bearer", credential = value] = (isHeader && /^(\w+) +(\S+)$/.exec(value)) || [];
    secrets.push({ name: secret, value: isHeader ? credential : value });
    texts.set(key, isHeader ? `${scheme} \${secret:${secret}}` : `secret:${secret}`);
  }
  return addServer(app, name, typedBackend(connection, texts), secrets, about);
}

/** If the address has no path, adds the path at which a server answers. */
async function withPath(app: App, typed: TypedConnection): Promise<TypedConnection> {
  if (!("url" in typed) || !hasNoPath(typed.url)) return typed;
  const { url } = await app.requests.call("mcpAddress", { url: typed.url });
  return url === null || url === typed.url ? typed : { url };
}
