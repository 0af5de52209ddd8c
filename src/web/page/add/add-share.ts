// Adds a share. The person picks or types a server, logs in (the login is sent only to that server's address), and
// picks one of the server's shares.
import { type ComponentChild, h } from "preact";
import { useRef, useState } from "preact/hooks";
import type { StatusReport } from "../../../api/contract/contract.ts";
import { foundServerText } from "../../../api/labels/found-labels.ts";
import type { ServerLogin, ShareNames } from "../../../api/setup/first-contact.ts";
import type { FoundServer } from "../../../api/setup/found-server.ts";
import type { ConfigTable } from "../../../config/edit/edit-value.ts";
import {
  freeNasName,
  likelySame,
  newNas,
  routeHosts,
  shareNameOf,
  shareTable,
} from "../../../config/edit/new-share.ts";
import { tomlLines, tomlValue } from "../../../config/edit/toml-value.ts";
import { freeSecretName } from "../../../config/secret-names.ts";
import { hostText } from "../../../config/values/host-text.ts";
import { MountaineerError } from "../../../runtime/errors.ts";
import { useStore } from "../daemon/store.ts";
import type { App, ViewProps } from "../parts/app.ts";
import { choiceRow, code, line, nothing, plainList, textBlock, WorkButton } from "../parts/elements.ts";
import { Lockable } from "../parts/owner-lock.ts";
import { shown } from "../parts/text.ts";
import { DeclaredForm, neededText, optionalText, textIn } from "./declared-form.ts";
import { saveAdded, takenSecrets } from "./save-added.ts";

const LOGIN = {
  Address: neededText("The name and the password go there, and nowhere else, in a signed session."),
  User: neededText("Your name on that server."),
};
const PASSWORD = { name: "Password", about: "It is tried at once, and never as a guest.", isRequired: true };
/** The value of the choice "no second address". */
const NONE = "none";
const SHARE_FIELD = neededText("As the server calls it.");
const NAME_FIELD = optionalText("The folder that it is mounted as; left out: as on the server.");
const HERE = "only this network";
const EVERYWHERE = "every network";

/** A server that has accepted a login. The password is kept apart, and only while the view is open. */
interface SignedInServer extends Pick<ServerLogin, "host" | "username"> {
  readonly names: ShareNames;
  /** The networks on which the server is reached; null: unknown. */
  readonly networks: readonly string[] | null;
}

export function AddShare({ app }: ViewProps): ComponentChild {
  const [servers, setServers] = useState<readonly FoundServer[] | null>(null);
  const [chosen, setChosen] = useState<FoundServer | null>(null);
  const [login, setLogin] = useState<SignedInServer | null>(null);
  const password = useRef("");
  const choose = (server: FoundServer): void => {
    setLogin(null);
    setChosen(server);
  };
  const logIn = (values: Readonly<Record<string, unknown>>, hidden: ReadonlyMap<string, string>) =>
    app.attempt("Ask the server", async () => {
      setLogin(null);
      const host = textIn(values, "Address");
      const username = textIn(values, "User");
      const typed = hidden.get(PASSWORD.name) ?? "";
      const names = await app.requests.call("shareNames", { host, username, password: typed });
      if (names.kind === "refused")
        throw new MountaineerError("permission_denied", `${host} refuses this login: ${names.text}`);
      const { networks } = await app.requests.call("shareNetworks", { hosts: [host] });
      // The password is set together with the login that it belongs to: the user may have begun another login
      // while this one was under way.
      password.current = typed;
      setLogin({ host, username, names, networks });
    });
  const nas = namesOfNas(useStore(app.store, ({ status }) => status));
  const known = (login === null ? null : servers?.find((one) => addressOf(one) === login.host)) ?? null;
  return h(
    "section",
    { "aria-label": "Add a share" },
    h(
      Lockable,
      { app, what: "add a share" },
      nas.length === 0
        ? null
        : h(DeclaredForm, {
            key: nas.join(" "),
            ...{ app, label: "One more share of a NAS", action: "Show what is added …" },
            fields: {
              NAS: {
                enum: nas,
                description: "This share also uses its addresses, login and networks.",
              },
              Share: SHARE_FIELD,
              "Name here": NAME_FIELD,
            },
            begin: { NAS: nas[0] },
            run: (values) => addOn(app, values),
          }),
      h(WorkButton, {
        label: servers === null ? "Look for servers" : "Look again",
        run: () =>
          app.attempt("Look for servers", async () =>
            setServers((await app.requests.call("discover")).servers),
          ),
      }),
      servers === null ? null : serverList(servers, chosen, choose),
      h(DeclaredForm, {
        key: chosen === null ? "" : addressOf(chosen),
        ...{ app, label: "Log in", fields: LOGIN, hidden: [PASSWORD], action: "List its shares" },
        begin: beginning(chosen),
        run: logIn,
      }),
      login === null
        ? null
        : h(Shares, {
            key: JSON.stringify(login),
            app,
            login,
            others: likelySame(known, servers ?? []),
            add: (values) => add(app, login, password.current, values, servers ?? []),
          }),
    ),
  );
}

function serverList(
  servers: readonly FoundServer[],
  chosen: FoundServer | null,
  choose: (server: FoundServer) => void,
): ComponentChild {
  if (servers.length === 0) return nothing("No server was found. Type the address of your NAS below.");
  return [
    h("p", { class: "hint" }, "A server may announce any name. Choose by the address and the link."),
    plainList(
      "Servers",
      servers.map((server) => {
        const { name, link, known } = foundServerText(server);
        const address = addressOf(server);
        const label = `${name} at ${address}`;
        return choiceRow(
          {
            key: address,
            name,
            accessibleName: label,
            isChosen: server === chosen,
            choose: () => choose(server),
          },
          code(address),
          h("span", { class: "dim grow" }, shown(`${link}, ${known}`)),
        );
      }),
    ),
  ];
}

interface SharesProps extends ViewProps {
  readonly login: SignedInServer;
  readonly others: readonly FoundServer[];
  readonly add: (values: Readonly<Record<string, unknown>>) => Promise<boolean>;
}

function Shares({ app, login, others, add }: SharesProps): ComponentChild {
  const { names, networks } = login;
  const listed = names.kind === "listed" ? names.names : [];
  const where = shown(login.host);
  const second = {
    enum: [NONE, ...others.map(addressOf)],
    description:
      "A server of the same name on another link. It gets the password only after it has proved to be the same server.",
  };
  const fields = {
    Share: { ...SHARE_FIELD, ...(listed.length === 0 ? {} : { enum: listed }) },
    "Name here": NAME_FIELD,
    ...(others.length === 0 ? {} : { "Second address": second }),
    ...(networks === null ? {} : { "Use it on": usedOn(networks) }),
  };
  const begin = networks === null ? {} : { "Use it on": HERE };
  return [
    h(
      "p",
      { role: "status" },
      names.kind !== "listed"
        ? `${where} gives no list: ${shown(names.text)}`
        : listed.length === 0
          ? `${where} lists no shares; type the name of one.`
          : `${where} takes this login.`,
    ),
    h(DeclaredForm, {
      app,
      label: "Choose a share",
      fields,
      begin,
      action: "Show what is added …",
      run: add,
    }),
  ];
}

function usedOn(networks: readonly string[]) {
  const description = `This one is ${shown(networks.join(", "))}. On another nothing is sent to the server.`;
  return { enum: [HERE, EVERYWHERE], description };
}

async function add(
  app: App,
  login: SignedInServer,
  password: string,
  values: Readonly<Record<string, unknown>>,
  servers: readonly FoundServer[],
): Promise<boolean> {
  return app.attempt("Add the share", async () => {
    const { sha256 } = await app.requests.call("config");
    const share = textIn(values, "Share");
    const name = textIn(values, "Name here") || shareNameOf({ share });
    const second = textIn(values, "Second address");
    const other = servers.find((one) => addressOf(one) === second) ?? null;
    const pairing = other === null ? null : await paired(app, login, password, share, second);
    const secret = freeSecretName(name, await takenSecrets(app));
    const found = servers.find((one) => addressOf(one) === login.host) ?? null;
    const hosts = routeHosts(
      { text: login.host, link: linkOf(found) },
      other === null ? null : { text: second, link: linkOf(other) },
    );
    const given = other === null ? [login.host] : [login.host, second];
    const isHere = textIn(values, "Use it on") === HERE;
    const learnt = isHere ? (await app.requests.call("shareNetworks", { hosts: given })).networks : null;
    if (isHere && learnt === null)
      throw new MountaineerError("usage", `${given.join(" and ")}: not all on a network that can be told`, {
        hint: `choose "${EVERYWHERE}", or one address`,
      });
    const known = namesOfNas(app.store.get().status);
    const nas = freeNasName(found?.name ?? login.host, (one) => known.includes(one));
    const wanted = {
      ...{ ...hosts, name, nas, username: login.username, password: `secret:${secret}` },
      shareName: name === share ? null : share,
      onlyOn: learnt ?? [],
    };
    const entry = shareTable(wanted);
    const [[, table] = ["", {}]] = newNas([wanted]);
    const where = [hosts.tbHost, hosts.fallbackHost].filter((host) => host !== null).join(" and ");
    const yes = await app.confirm({
      title: `Add ${shown(name)}?`,
      body: [
        h("p", {}, "The configuration gets this, and the share is mounted:"),
        textBlock(
          [`[nas.${nas}]`, ...tomlLines(table), "", "[[shares]]", ...tomlLines(entry)].join("\n"),
          "New lines",
        ),
        h(
          "p",
          {},
          "The password is kept as ",
          code(`secret:${secret}`),
          ` and goes only to ${shown(where)}.`,
        ),
        line("hint", pairing && `Not verified yet to be one server: ${pairing}`),
      ],
      action: "Add it",
    });
    if (!yes) return;
    const edits = [
      ...Object.entries(table).map(([key, value]) => ({ key: `nas.${nas}.${key}`, value: tomlValue(value) })),
      { add: "shares", entry: textsOf(entry) } as const,
    ];
    await saveAdded(app, edits, [{ name: secret, value: password }], sha256);
    location.hash = "#/shares";
  });
}

/** Adds a share on a NAS that the configuration has. */
async function addOn(app: App, values: Readonly<Record<string, unknown>>): Promise<boolean> {
  return app.attempt("Add the share", async () => {
    const { sha256 } = await app.requests.call("config");
    const [nas, share] = [textIn(values, "NAS"), textIn(values, "Share")];
    const name = textIn(values, "Name here") || shareNameOf({ share });
    const entry = { name, nas, ...(name === share ? {} : { share_name: share }) };
    const yes = await app.confirm({
      title: `Add ${shown(name)}?`,
      body: [
        h("p", {}, "The configuration gets this, and the share is mounted:"),
        textBlock(["[[shares]]", ...tomlLines(entry)].join("\n"), "New lines"),
      ],
      action: "Add it",
    });
    if (!yes) return;
    await saveAdded(app, [{ add: "shares", entry }], [], sha256);
    location.hash = "#/shares";
  });
}

function textsOf(entry: ConfigTable): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(entry).map(([key, value]) => [key, String(value)]));
}

/** The NAS of the configuration that shares are on, by name. */
function namesOfNas(status: StatusReport | null): readonly string[] {
  return [...new Set((status?.shares ?? []).flatMap(({ nas }) => nas ?? []))];
}

/**
 * Resolves with null if both addresses are proved to lead to one server, else with the reason. Rejects with `usage`
 * if they lead to two servers.
 */
async function paired(
  app: App,
  login: SignedInServer,
  password: string,
  share: string,
  other: string,
): Promise<string | null> {
  const { host, username } = login;
  const input = { host, username, password, share, other };
  const { kind, text } = await app.requests.call("pairServers", input);
  if (kind === "different") throw new MountaineerError("usage", `${other} is another server: ${text}`);
  return kind === "same" ? null : text;
}

function beginning(server: FoundServer | null): Readonly<Record<string, string>> {
  if (server === null) return {};
  const user = server.mounts.find((mount) => mount.user !== null)?.user;
  return { Address: addressOf(server), ...(user == null ? {} : { User: user }) };
}

function linkOf(server: FoundServer | null) {
  return server === null ? null : { device: server.interface, ...server.link };
}

function addressOf({ address, port }: FoundServer): string {
  return hostText({ host: address, port });
}
