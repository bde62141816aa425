/** Enough for every repository's last push; who replays an older event causes one look more. */
const keptDeliveries = 1_000;
const longestId = 200;

/** One delivery has one id, also when the forge sends it again because it heard no answer. */
const idHeaders = [
  "x-github-delivery",
  "x-forgejo-delivery",
  "x-gitea-delivery",
  "webhook-id",
  "idempotency-key", // GitLab
  "x-request-uuid", // Bitbucket
];

/** Whether an event that was checked is one that was heard before. Events without an id are always new. */
export function createDeliveries(): (repository: string, headers: Headers) => boolean {
  const heard = new Set<string>();
  return (repository, headers) => {
    const id = idHeaders.map((name) => headers.get(name)).find((value) => value !== null);
    if (id === undefined || id === null || id.length > longestId) return false;
    const key = `${repository} ${id}`;
    if (heard.has(key)) return true;
    heard.add(key);
    if (heard.size > keptDeliveries) heard.delete(heard.values().next().value!);
    return false;
  };
}
