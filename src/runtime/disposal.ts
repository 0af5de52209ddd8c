// Disposes resources once, in reverse order. A failure does not skip the rest.

type Disposer = () => void | PromiseLike<void>;

export type DisposalStack = ReturnType<typeof createDisposalStack>;

/** `onFailure` is called for each disposer that fails; the disposal itself never rejects. */
export function createDisposalStack(onFailure: (error: unknown) => void) {
  const disposers: Disposer[] = [];
  let ending: Promise<void> | null = null;
  const run = async (disposer: Disposer): Promise<void> => {
    try {
      await disposer();
    } catch (error) {
      onFailure(error);
    }
  };
  const end = async (): Promise<void> => {
    for (let disposer = disposers.pop(); disposer !== undefined; disposer = disposers.pop()) {
      await run(disposer);
    }
  };
  /** Registers a disposer. If the disposal has started already, the disposer runs at once. */
  const defer = (disposer: Disposer): void => {
    if (ending === null) disposers.push(disposer);
    else void run(disposer);
  };
  return {
    /** True from the start of the disposal on. */
    get disposed() {
      return ending !== null;
    },
    defer,
    /** Registers a disposable and returns it. */
    use<T extends Disposable | AsyncDisposable>(resource: T): T {
      defer(() =>
        Symbol.asyncDispose in resource ? resource[Symbol.asyncDispose]() : resource[Symbol.dispose](),
      );
      return resource;
    },
    [Symbol.asyncDispose](): Promise<void> {
      ending ??= end();
      return ending;
    },
  };
}
