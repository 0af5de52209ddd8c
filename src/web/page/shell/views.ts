// The views of the page and their parts, in the order of the navigation.
import type { FunctionComponent } from "preact";
import type { StatusReport } from "../../../api/contract/contract.ts";
import { HomeView } from "../home/home-view.ts";
import type { ViewProps } from "../parts/app.ts";
import { later } from "../parts/later.ts";
import { ServersView } from "../servers/servers-view.ts";
import { AboutView } from "../settings/about-view.ts";
import { ClientsView } from "../settings/clients-view.ts";
import { SecretsView } from "../settings/secrets-view.ts";
import { SharesView } from "../shares/shares-view.ts";
import { SyncView } from "../sync/sync-view.ts";

const ActivityView = later(async () => (await import("../records/activity-view.ts")).ActivityView);
const AddServer = later(async () => (await import("../add/add-server.ts")).AddServer);
const AddShare = later(async () => (await import("../add/add-share.ts")).AddShare);
const ApprovalsView = later(async () => (await import("../approvals/approvals-view.ts")).ApprovalsView);
const CatalogView = later(async () => (await import("../catalog/catalog-view.ts")).CatalogView);
const ConfigView = later(async () => (await import("../config/config-view.ts")).ConfigView);
const FleetView = later(async () => (await import("../fleet/fleet-view.ts")).FleetView);
const ImportServers = later(async () => (await import("../add/import-servers.ts")).ImportServers);
const PeopleView = later(async () => (await import("../settings/people-view.ts")).PeopleView);

interface ViewPart {
  /** The part of the address after `#/`. */
  readonly at: string;
  readonly title: string;
  readonly view: FunctionComponent<ViewProps>;
}

interface PageView {
  readonly title: string;
  /** The view's parts; the first one opens with the view. */
  readonly parts: readonly [ViewPart, ...ViewPart[]];
  /** False: the navigation leaves the view out, because it has nothing to show. Absent: always true. */
  readonly isUsed?: (status: StatusReport) => boolean;
  /** True if the view shows counters whose changes cause no event. */
  readonly hasFigures?: boolean;
}

const HOME: PageView = {
  title: "Home",
  parts: [{ at: "home", title: "Home", view: HomeView }],
  hasFigures: true,
};

export const VIEWS: readonly PageView[] = [
  HOME,
  {
    title: "Shares",
    parts: [
      { at: "shares", title: "Shares", view: SharesView },
      { at: "shares/add", title: "Add a share", view: AddShare },
    ],
    isUsed: ({ shares }) => shares.length > 0,
    hasFigures: true,
  },
  {
    title: "Servers",
    parts: [
      { at: "servers", title: "Servers", view: ServersView },
      { at: "servers/tools", title: "Tools", view: CatalogView },
      { at: "servers/add", title: "Add a server", view: AddServer },
      { at: "servers/import", title: "Import", view: ImportServers },
    ],
    isUsed: ({ gateway }) => gateway !== undefined,
    hasFigures: true,
  },
  {
    title: "Activity",
    parts: [{ at: "activity", title: "Activity", view: ActivityView }],
  },
  {
    title: "People",
    parts: [{ at: "people", title: "People", view: PeopleView }],
    isUsed: ({ gateway }) => gateway !== undefined,
  },
  {
    title: "Settings",
    parts: [
      { at: "settings/configuration", title: "Configuration", view: ConfigView },
      { at: "settings/sync", title: "Sync", view: SyncView },
      { at: "settings/secrets", title: "Secrets", view: SecretsView },
      { at: "settings/approvals", title: "Approvals", view: ApprovalsView },
      { at: "settings/fleet", title: "Fleet", view: FleetView },
      { at: "settings/clients", title: "Clients", view: ClientsView },
      { at: "settings/about", title: "About", view: AboutView },
    ],
  },
];

/** Returns the view for an address, which may end with `?` and filters; Home if the address has no view. */
export function partAt(hash: string): { readonly view: PageView; readonly part: ViewPart } {
  const wanted = hash.replace(/^#\/|\?.*$/gs, "");
  for (const view of VIEWS) {
    const part = view.parts.find(({ at }) => at === wanted);
    if (part !== undefined) return { view, part };
  }
  return { view: HOME, part: HOME.parts[0] };
}
