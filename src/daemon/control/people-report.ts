// The people who may connect, for the management API: users of the file, people of an issuer, and their programs.
import type { AccessRequestReport, Person } from "../../api/contract/people.ts";
import type { InputOf, OutputOf } from "../../api/operations/operations.ts";
import { SUBJECT_PREFIX } from "../../config/values/sign-in-values.ts";
import type { AuthorizationServer } from "../../gateway/authorization-server/authorization-server.ts";
import { answersTo } from "../../gateway/authorization-server/redirect-uri.ts";
import type { Principal } from "../../gateway/client-handle.ts";
import type { Grant } from "../../gateway/client-sign-in/grants.ts";
import { GATEWAY_CONDITIONS } from "../../gateway/serving/condition-rows.ts";
import type { Gateway } from "../../gateway/serving/gateway.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { isoTime, isoTimeOrNull } from "../../runtime/time/clock.ts";
import { accountOf } from "../../secrets/reference.ts";

export function peopleReport(
  { serving, clients }: Pick<Gateway, "serving" | "clients">,
  { user, role }: InputOf<"people">,
): OutputOf<"people"> {
  const { config, authentication } = serving.rules;
  const { incomingAuth: auth } = config;
  const known = authentication.users;
  const person = (principal: Principal, signsIn: Person["signs_in"], name = principal.name): Person => ({
    name,
    roles: [...principal.roles],
    signs_in: signsIn,
    last_heard: isoTimeOrNull(serving.clients.heardMs(principal)),
    programs: clients.grants.list.filter((grant) => grant.user === principal.user).map(grantReport),
    servers: serving.access(principal).servers.map(({ backend, entries }) => ({
      backend,
      entries: entries.map(({ setArguments: set, ...entry }) => ({
        ...entry,
        ...(set === undefined ? {} : { set_arguments: { ...set } }),
      })),
    })),
  });
  const unmatched = serving.unmatched.map(
    ({ location, written }) => GATEWAY_CONDITIONS.rule_matches_nothing(location, written).title,
  );
  if (role !== undefined) {
    return { people: [person({ kind: "user", name: `role ${role}`, roles: [role] }, "role")], unmatched };
  }
  const users = auth.type === "anonymous" ? [] : auth.users;
  const people = [
    ...users.map(({ name, roles }) =>
      person(
        { kind: "user", name, user: name, roles },
        known?.entries.has(name) === true ? "token" : "no_token",
      ),
    ),
    ...(authentication.signed?.people ?? []).map((one) =>
      person(one, "issuer", `${SUBJECT_PREFIX}${one.subject}`),
    ),
  ];
  return { people: user === undefined ? people : people.filter(({ name }) => name === user), unmatched };
}

function grantReport(grant: Grant): Person["programs"][number] {
  const { id, client, resource, backends, read_only, created_at, used_at } = grant;
  return {
    ...{ id, name: client.name, answers_to: client.answers_to, resource, backends, read_only },
    ...{ since: isoTime(created_at), last_used: isoTime(used_at) },
  };
}

/** Where the user signs in to the own account: at `public_url`, or on this machine. Throws `usage`. */
export async function accountAddress(
  gateway: Pick<Gateway, "serving" | "clients" | "view">,
  { user, backend }: InputOf<"userAccount">,
): Promise<string> {
  const { config, authentication } = gateway.serving.rules;
  const sha256 = authentication.users?.entries.get(user)?.sha256;
  const isOwn = config.backends.some(({ name, accounts }) => name === backend && accounts === "each");
  const refused = (why: string) =>
    new MountaineerError("usage", `${user} cannot sign in to ${backend}: ${why}`);
  if (sha256 === undefined || !isOwn) throw refused("there is no such user, or one account for all");
  const outside = URL.parse(config.server?.publicUrl ?? "");
  const { host = "" } = outside ?? URL.parse(gateway.view().url ?? "") ?? {};
  const reached = { host, isDirect: outside === null, scheme: outside === null ? null : "https" };
  const account = { backend, user, entry: accountOf(user, sha256) };
  const at = await gateway.clients.connectAt(account, null, reached);
  if ("url" in at) return at.url;
  throw refused(at.closedBecause);
}

/** Shows the request whose page shows the code, and answers it. */
export async function answerRequest(
  server: AuthorizationServer,
  { code, answer }: InputOf<"accessRequest">,
): Promise<AccessRequestReport> {
  const waiting = server.requests.byTypedCode(code);
  if (waiting === null) {
    throw new MountaineerError("permission_denied", "no open page shows this code now", {
      hint: "a page shows its code for ten minutes; reload it in the browser for another one",
    });
  }
  const users = server.userNames;
  if (answer !== undefined) {
    const { user, ...limits } = answer;
    const isDone = await server.decide(waiting, user === null ? null : { user, ...limits });
    if (!isDone)
      throw new MountaineerError("usage", `there is no user ${user}`, {
        hint: `there are: ${users.join(", ")}`,
      });
  }
  const { client, redirectUri, resource, remote, openedMs } = waiting;
  return {
    name: client.name,
    published_by: client.publishedBy,
    answers_to: answersTo(redirectUri),
    resource,
    opened_from: remote,
    opened: isoTime(openedMs),
    users,
  };
}
