export const CHINESE = {
};
