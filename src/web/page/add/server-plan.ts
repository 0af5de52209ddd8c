// Shows what an added server runs and where credentials go, and saves it after a confirmation.

import { type ComponentChild, h } from "preact";
import { storedNames } from "../../../api/setup/home-secrets.ts";
import {
  newToken,
  TOKEN_BLOCK,
  TOKEN_EDITS,
  TOKEN_REFERENCE,
  wantsToken,
} from "../../../config/edit/gateway-token.ts";
import {
  type BackendInput,
  backendEdits,
  type TypedConnection,
  withStoredSecrets,
} from "../../../config/edit/new-backend.ts";
import { TOKEN_SECRET } from "../../../config/secret-names.ts";
import { parseBackendName } from "../../../config/values/backend-names.ts";
import { MountaineerError } from "../../../runtime/errors.ts";
import { shellWord } from "../../../runtime/text/plain-text.ts";
import type { App } from "../parts/app.ts";
import { code, textBlock } from "../parts/elements.ts";
import { shown } from "../parts/text.ts";
import { type SecretToKeep, saveAdded } from "./save-added.ts";

/** The backend of a typed connection. `texts`: variables of a program, or headers of an address. */
export function typedBackend(connection: TypedConnection, texts: ReadonlyMap<string, string>): BackendInput {
  const none = { cwd: null, group: null, enabled: null, set: new Map() };
  if ("url" in connection)
    return { ...none, command: null, url: connection.url, env: new Map(), headers: texts };
  const { command, args } = connection;
  return { ...none, command: [command, ...args], url: null, env: texts, headers: new Map() };
}

/** Asks for confirmation with the whole plan, and saves it; false: the person said no. Rejects with `MountaineerError`. */
export async function addServer(
  app: App,
  name: string,
  given: BackendInput,
  givenSecrets: readonly SecretToKeep[],
  about: ComponentChild = null,
): Promise<boolean> {
  const { sha256, text } = await app.requests.call("config");
  const reading = parseBackendName(name);
  if (!reading.ok) throw new MountaineerError("usage", `${name}: expected ${reading.expected}`);
  const backends = app.store.get().status?.backends ?? [];
  if (backends.some((backend) => backend.name === name))
    throw new MountaineerError("usage", `there is a server called ${name}`);
  const listed = await app.requests.call("secrets");
  const taken = new Set([...listed.secrets, ...givenSecrets].map((secret) => secret.name));
  const { typed, secrets: found } = withStoredSecrets(name, given, (one) => taken.has(one));
  const secrets = [...givenSecrets, ...[...found].map(([key, value]) => ({ name: key, value }))];
  const hasToken = wantsToken({ requested: null, text, hasBackend: backends.length > 0, addsBackend: true });
  const isStored = hasToken && storedNames(listed).has(TOKEN_SECRET);
  const yes = await app.confirm({
    title: `Add ${shown(name)}?`,
    body: h(
      "div",
      {},
      about,
      whatRuns(typed, secrets),
      found.size === 0
        ? null
        : h("p", {}, "Part of it seems to be a secret. The configuration gets only a reference to it."),
      hasToken ? tokenHint(isStored) : null,
    ),
    action: found.size > 0 ? "Keep it as a secret" : "Add it",
  });
  if (!yes) return false;
  await saveAdded(
    app,
    [...backendEdits(name, typed), ...(hasToken ? TOKEN_EDITS : [])],
    [...secrets, ...(hasToken && !isStored ? [{ name: TOKEN_SECRET, value: newToken() }] : [])],
    sha256,
  );
  location.hash = `#/servers?open=${encodeURIComponent(name)}`;
  return true;
}

function tokenHint(isStored: boolean): ComponentChild {
  return [
    h(
      "p",
      {},
      "It is the first server. From now on HTTP clients must send a token, which is ",
      isStored ? "kept already as " : "made now and kept as ",
      code(TOKEN_REFERENCE),
      ". The configuration gets:",
    ),
    textBlock(TOKEN_BLOCK, "What lets clients in"),
  ];
}

function whatRuns(typed: BackendInput, secrets: readonly SecretToKeep[]): ComponentChild {
  const { command, url, env, headers } = typed;
  const texts = [...env, ...headers];
  const isSent = url !== null;
  return [
    h(
      "p",
      {},
      isSent ? "Calls are sent to this address:" : "This runs on the daemon's machine, as its user:",
    ),
    h("p", { class: "path" }, code(isSent ? url : (command ?? []).map(shellWord).join(" "))),
    texts.length === 0
      ? null
      : [
          h("p", {}, isSent ? "With each request these headers are sent there:" : "It gets these variables:"),
          h(
            "ul",
            {},
            texts.map(([key, text]) => h("li", { key }, code(`${key} = ${text}`))),
          ),
        ],
    secrets.map((secret) =>
      h("p", { key: secret.name }, "What you typed is kept as ", code(`secret:${secret.name}`), "."),
    ),
  ];
}
