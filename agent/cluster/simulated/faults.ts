/** One request, in the words of the audit log: an apply is a patch. */
export type SimulatedRequest = {
  readonly manager: string;
  /** In whose name; empty for the client's own. */
  readonly user: string;
  readonly verb: "get" | "list" | "watch" | "patch" | "create" | "update" | "delete";
  readonly resource: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly isDryRun: boolean;
};

/** Members that must be equal, or a rule. */
export type RequestMatcher = Partial<SimulatedRequest> | ((request: SimulatedRequest) => boolean);

/** What goes wrong: a refusal, or a write whose answer is lost. */
export type Fault = Error | "timeoutAfterWrite";

export type Faults = {
  add(matcher: RequestMatcher, fault: Fault, times: number): void;
  /** What was added and has not happened yet will not. */
  clear(): void;
  /** Something to do, and to wait for, before a request is looked at. */
  before(matcher: RequestMatcher, run: (request: SimulatedRequest) => void | Promise<void>, times: number): void;
  /** Counts the request, then does it or fails it. */
  pass<T>(request: SimulatedRequest, signal: AbortSignal | undefined, run: () => T): Promise<T>;
  /** Requests of a manager, or of all, since the start: "patch deployments" to their number. */
  counts(manager?: string): Record<string, number>;
};

export function createFaults(): Faults {
  type Rule = { matcher: RequestMatcher; left: number };
  const faults: (Rule & { fault: Fault })[] = [];
  const hooks: (Rule & { run: (request: SimulatedRequest) => void | Promise<void> })[] = [];
  const counted = new Map<string, Map<string, number>>();

  const take = <R extends Rule>(rules: R[], request: SimulatedRequest): R | undefined => {
    const rule = rules.find(({ matcher, left }) => left > 0 && isMatch(matcher, request));
    if (rule !== undefined) rule.left -= 1;
    return rule;
  };
  const count = ({ manager, verb, resource }: SimulatedRequest): void => {
    const own = counted.get(manager) ?? new Map<string, number>();
    counted.set(manager, own);
    own.set(`${verb} ${resource}`, (own.get(`${verb} ${resource}`) ?? 0) + 1);
  };
  return {
    add: (matcher, fault, times) => void faults.push({ matcher, fault, left: times }),
    clear: () => void (faults.length = 0),
    before: (matcher, run, times) => void hooks.push({ matcher, run, left: times }),
    async pass(request, signal, run) {
      signal?.throwIfAborted();
      count(request);
      await take(hooks, request)?.run(request);
      signal?.throwIfAborted();
      const fault = take(faults, request)?.fault;
      if (fault instanceof Error) throw fault;
      const answer = run();
      if (fault === "timeoutAfterWrite")
        throw new DOMException(
          `${request.verb} ${request.resource} ${request.name}: no answer in time`,
          "TimeoutError",
        );
      return answer;
    },
    counts(manager) {
      const total: Record<string, number> = {};
      for (const [name, own] of counted)
        if (manager === undefined || manager === name)
          for (const [what, number] of own) total[what] = (total[what] ?? 0) + number;
      return total;
    },
  };
}

const isMatch = (matcher: RequestMatcher, request: SimulatedRequest): boolean =>
  typeof matcher === "function"
    ? matcher(request)
    : Object.entries(matcher).every(([name, value]) => request[name as keyof SimulatedRequest] === value);
