// The call into macOS's NetFS, which can mount where the user may not make a folder. A call may take minutes, so a child
// process makes it, which can be ended. Tests use a library with the same ABI.
import {
  type CfRef,
  CORE_FOUNDATION_PATH,
  loadCoreFoundation,
} from "../../../network/native/core-foundation-darwin.ts";
import {
  type ForeignAddress,
  loadDispatch,
  SYSTEM_LIBRARY_PATH,
} from "../../../network/native/dispatch-block-darwin.ts";
import { loadForeignLibrary } from "../../../network/native/foreign-library.ts";

export interface NetfsLibraries {
  readonly coreFoundation: string;
  readonly netfs: string;
  /** The library with blocks and dispatch queues. */
  readonly system: string;
}

export const NETFS_LIBRARIES: NetfsLibraries = {
  coreFoundation: CORE_FOUNDATION_PATH,
  netfs: "/System/Library/Frameworks/NetFS.framework/NetFS",
  system: SYSTEM_LIBRARY_PATH,
};

export interface NetfsRequest {
  /** Escaped, without a password. */
  readonly url: string;
  /** An existing empty folder to mount on; null: macOS makes one under /Volumes. */
  readonly folder: string | null;
  /** null for a guest. With a name and no password, macOS uses the Keychain. */
  readonly username: string | null;
  readonly password: string | null;
  readonly guest: boolean;
}

/** ECANCELED. */
export const CANCELLED = 89;

export interface NetfsAnswer {
  /** 0, or a number that `failedByNetfs` explains. */
  readonly status: number;
  /** The paths where the share is mounted. They may differ from the expected path. */
  readonly mountPoints: readonly string[];
}

export interface NetfsCall {
  /**
   * Rejects when macOS cannot be asked. After a successful cancel it may never settle: Apple's header says that macOS
   * does not call back then.
   */
  readonly answer: Promise<NetfsAnswer>;
  /**
   * Cancels the mount. True: macOS has cancelled it. May never resolve; `answer` may settle before that, also with the
   * status `CANCELLED`.
   */
  cancel(): Promise<boolean>;
}

type MountUrlAsync = (
  url: CfRef,
  folder: CfRef | null,
  user: CfRef | null,
  password: CfRef | null,
  openOptions: CfRef,
  mountOptions: CfRef,
  requestId: BigUint64Array,
  queue: ForeignAddress,
  block: ForeignAddress,
) => number;

const POINTER = "const void *";
const BLOCK_PARAMETERS = ["int", "void *", POINTER];
const LOOPBACK = /^smb:\/\/(?:[^@/]*@)?(?:127\.|localhost(?:[:/]|$)|\[::1\])/i;

/** Rejects when koffi or a library is missing. The returned function throws if `url` is not a URL. */
export async function loadNetfs(
  libraries: NetfsLibraries = NETFS_LIBRARIES,
): Promise<(request: NetfsRequest) => NetfsCall> {
  const cf = await loadCoreFoundation(libraries.coreFoundation);
  const dispatch = await loadDispatch(libraries.system);
  const netfs = await loadForeignLibrary(libraries.netfs);
  const mountUrlAsync: MountUrlAsync = netfs.declare("NetFSMountURLAsync", "int", [
    ...Array<string>(4).fill(POINTER),
    ...Array<string>(5).fill("void *"),
  ]);
  // macOS may wait in this call until the block has run, and the block runs on this thread.
  const cancelMount = netfs.declareInPool("NetFSMountURLCancel", "int", ["void *"]);

  return ({ url, folder, username, password, guest }) => {
    const owned: CfRef[] = [];
    const own = <Ref extends CfRef | null>(ref: Ref): Ref => {
      if (ref !== null) owned.push(ref);
      return ref;
    };
    const release = (): void => {
      for (const ref of owned.splice(0).reverse()) cf.release(ref);
    };
    const text = (value: string | null): CfRef | null => (value === null ? null : own(cf.string(value)));
    try {
      const target = own(cf.url(url));
      if (target === null) throw new Error(`macOS takes ${url} for no URL`);
      const openOptions = own(
        cf.dictionary({
          // Without this option a refused password opens a dialog, and the call waits for it.
          UIOption: own(cf.string("NoUI")),
          ...(guest ? { Guest: cf.boolean(true) } : {}),
          // Without this option macOS refuses to mount from this machine itself.
          ...(LOOPBACK.test(url) ? { AllowLoopback: cf.boolean(true) } : {}),
        }),
      );
      const mountOptions = own(
        cf.dictionary({
          // Requests to a dead server then end with an error, instead of holding programs for ever.
          SoftMount: cf.boolean(true),
          ...(folder === null ? {} : { MountAtMountDir: cf.boolean(true) }),
        }),
      );
      const { promise, resolve } = Promise.withResolvers<NetfsAnswer>();
      let isOver = false;
      const end = (status: number, mountPoints: readonly string[]): void => {
        isOver = true;
        release();
        resolve({ status, mountPoints });
      };
      const block = dispatch.block(BLOCK_PARAMETERS, (status, _requestId, list) => {
        // The list is valid only during this callback.
        const items = typeof list === "bigint" && list !== 0n ? (cf.itemsOf(list) ?? []) : [];
        const paths = items.map((item) => cf.textOf(item)).filter((path) => path !== null);
        // A block must not be freed while it runs.
        setImmediate(() => block.free());
        end(Number(status), paths);
      });
      const requestId = new BigUint64Array(1);
      const refused = mountUrlAsync(
        target,
        folder === null ? null : own(cf.folderUrl(folder)),
        // Without a password, the user's name is passed only in the URL: as an argument, the name would keep macOS
        // from asking the Keychain.
        password === null ? null : text(username),
        text(password),
        openOptions,
        mountOptions,
        requestId,
        dispatch.queue,
        block.address,
      );
      if (refused !== 0) {
        block.free();
        end(refused, []);
      }
      return {
        answer: promise,
        async cancel() {
          const id = requestId[0] ?? 0n;
          return !isOver && id !== 0n && (await cancelMount(id)) === 0;
        },
      };
    } catch (error) {
      release();
      throw error;
    }
  };
}
