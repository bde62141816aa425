/** Where the objects of the property live. */
export const place = "shop";
