"""The rollout inspector: reads run folders, also while they grow, and shows them on a page."""
